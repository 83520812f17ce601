"""The worker as a real process, with the settings of one test."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import URL

from tests.fakes.forked_worker import WarmWorker
from tests.fakes.upstream import Upstream

PROJECT = Path(__file__).resolve().parent.parent.parent
ANY_RATE = "1000000"

NO_CROSSWALK = Path(__file__).resolve().parent
"""A folder without a CSV file, so that no listing of a test is in a crosswalk."""


def environ(url: URL, upstream: Upstream | None = None, **settings: object) -> dict[str, str]:
    """Make the environment of a worker that knows this database and upstream and nothing else."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    sources = (
        {
            "COINGECKO_BASE_URL": upstream.coingecko_url,
            "COINPAPRIKA_BASE_URL": upstream.coinpaprika_url,
            "COINGECKO_REQUESTS_PER_MINUTE": ANY_RATE,
            "COINPAPRIKA_REQUESTS_PER_MINUTE": ANY_RATE,
            "COINGECKO_REQUESTS_PER_MONTH": ANY_RATE,
            "COINPAPRIKA_REQUESTS_PER_MONTH": ANY_RATE,
        }
        if upstream
        else {}
    )
    return {
        **kept,
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "PYTHONWARNINGS": "error",
        "IDENTITY_PATH": str(NO_CROSSWALK),
        **sources,
        **{name: str(value) for name, value in settings.items()},
    }


def run_worker(
    arguments: str, env: Mapping[str, str], cwd: Path, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run the worker with the arguments to its end, in a process forked for it."""
    worker = WarmWorker(arguments, env, cwd)
    try:
        code = worker.wait(seconds)
    except AssertionError:
        worker.kill()
        raise
    ran = subprocess.CompletedProcess(arguments, code, worker.out, worker.err)
    worker.delete_output()
    return ran


def run_command(
    arguments: str, env: Mapping[str, str], cwd: Path, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `python -m worker` with the arguments to its end, as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "worker", *shlex.split(arguments)],
        env={**env, "PYTHONPATH": str(PROJECT)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
