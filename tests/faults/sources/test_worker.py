"""The worker against a source that misbehaves: what it prints, keeps secret and has room for."""

import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from shared.model.catalogue import SOURCES as EVERY_SOURCE
from shared.schema.operations import runs
from tests.fakes.answers import MIB, Answer, gzip_bomb, huge, rate_limited, redirect
from tests.fakes.cases import sparse
from tests.fakes.processes import PROJECT, environ, run_worker
from tests.fakes.runner import Runner
from tests.fakes.source_faults import FAULTS, SOURCES
from tests.fakes.upstream import Upstream


@pytest.mark.parametrize(
    ("fault", "source"), sparse(product(["429-long", "401", "html", "object"], SOURCES), 3)
)
def test_one_source_s_fault_stops_no_other_and_the_worker_says_what_to_do(
    engine: Engine, database_url: URL, tmp_path: Path, source: str, fault: str
):
    broken = FAULTS[fault]
    with Upstream(assets=20) as upstream, Upstream(assets=20) as other:
        other.always(broken.answer)
        url = {"coingecko": other.coingecko_url, "coinpaprika": other.coinpaprika_url}[source]
        env = environ(database_url, upstream, **{f"{source.upper()}_BASE_URL": url})

        ran = run_worker("run --once", env, tmp_path)

    assert ran.returncode == 1
    assert f"{source}: run " in ran.stdout
    assert f" failed ({broken.reason}: " in ran.stdout
    advice = broken.advice.format(source.upper())
    assert advice in ran.stdout
    assert advice in ran.stderr
    assert "Traceback" not in ran.stderr
    of_contracts = {"coingecko": "coingecko_coins", "coinpaprika": "coinpaprika_contracts"}[source]
    assert outcomes(engine) == {
        **dict.fromkeys(EVERY_SOURCE, ("succeeded", None)),
        **dict.fromkeys([source, of_contracts], ("failed", broken.reason)),
    }


def outcomes(engine: Engine) -> dict[str, tuple[str, str | None]]:
    with engine.connect() as conn:
        rows = conn.execute(select(runs.c.source, runs.c.outcome, runs.c.reason))
        return {row.source: (row.outcome, row.reason) for row in rows}


def test_a_port_where_nobody_listens_is_unreachable(engine: Engine):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = Elsewhere(f"http://127.0.0.1:{closed.getsockname()[1]}")
        result = Runner(engine, nobody, "coingecko").run()

    assert (result.ending.outcome, result.ending.reason) == ("failed", "unreachable")
    assert "(Connection refused); check the network and COINGECKO_BASE_URL" in str(
        result.ending.error
    )


@dataclass(frozen=True)
class Elsewhere:
    """An address in place of an upstream."""

    coingecko_url: str


@pytest.mark.parametrize("source", SOURCES)
def test_a_key_follows_no_redirect_and_is_nowhere_to_be_read(
    engine: Engine, database_url: URL, tmp_path: Path, source: str
):
    key = "s3cr3t-k3y-of-ours"
    with Upstream(assets=10) as upstream, Upstream(assets=10) as elsewhere:
        path = {"coingecko": "/api/v3/coins/markets", "coinpaprika": "/v1/tickers"}[source]
        upstream.always(redirect(elsewhere.base_url.replace("127.0.0.1", "localhost") + path))
        plan = {"COINGECKO_PLAN": "demo"} if source == "coingecko" else {}
        settings = {f"{source.upper()}_API_KEY": key, **plan}
        env = environ(database_url, upstream, LOG_LEVEL="DEBUG", **settings)

        ran = run_worker(f"run --once --source {source}", env, tmp_path)

        assert any(key in value for value in upstream.asked[0].headers.values())
        assert not elsewhere.asked
    assert ran.returncode == 1
    assert f"failed (redirected: GET {upstream.base_url}{path}" in ran.stdout
    assert f"if the host is correct, set {source.upper()}_BASE_URL" in ran.stderr
    assert key not in ran.stdout + ran.stderr
    assert key not in whole_content(engine)


def test_a_key_with_a_line_break_is_named_and_never_shown(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=10) as upstream:
        settings = {"COINPAPRIKA_API_KEY": "s3cr3t\nk3y"}
        env = environ(database_url, upstream, **settings)

        ran = run_worker("run --once --source coinpaprika", env, tmp_path)

        assert not upstream.asked
    assert ran.returncode != 0
    said = ran.stdout + ran.stderr + whole_content(engine)
    assert "COINPAPRIKA_API_KEY" in said
    assert "copy the key again" in said
    assert "Traceback" not in said
    assert "s3cr3t" not in said
    assert "k3y" not in said


def whole_content(engine: Engine) -> str:
    """Write out every run and checkpoint of the database."""
    with engine.connect() as conn:
        found = conn.exec_driver_sql(
            "SELECT to_jsonb(r)::text FROM runs AS r"
            " UNION ALL SELECT to_jsonb(c)::text FROM checkpoints AS c"
        )
        return "\n".join(found.scalars())


def test_a_pause_that_is_too_long_is_kept_by_the_next_process_too(
    database_url: URL, tmp_path: Path
):
    with Upstream(assets=10) as upstream:
        upstream.answers(rate_limited(seconds=4000))
        env = environ(database_url, upstream)

        for _ in range(2):
            ran = run_worker("run --once --source coinpaprika", env, tmp_path)
            assert ran.returncode == 1
            assert "failed (rate_limited: " in ran.stdout
            assert "try again after 20" in ran.stdout

        assert len(upstream.asked) == 1


LARGE = {
    "200-mib": (huge(200), "too_large"),
    "200-mib-of-no-length": (huge(200, lengthless=True), "too_large"),
    "gzip-bomb": (gzip_bomb(200 * MIB), "too_large"),
}


@pytest.mark.parametrize("answer", sparse(LARGE, len(LARGE)))
def test_a_body_without_measure_fails_the_run_within_300_mib(
    database_url: URL, tmp_path: Path, answer: str
):
    said, reason = LARGE[answer]
    with Upstream(assets=20) as upstream:
        upstream.answers(said)
        env = environ(database_url, upstream)

        status, out, mebibytes = measured("run --once --source coinpaprika", env, tmp_path)

        assert status == 1
        assert f"failed ({reason}: " in out
        assert "larger than 64 MiB" in out
        assert "check COINPAPRIKA_BASE_URL" in out
        assert mebibytes < 300
        assert run_worker("run --once --source coinpaprika", env, tmp_path).returncode == 0


def measured(arguments: str, env: Mapping[str, str], cwd: Path) -> tuple[int, str, float]:
    """Run the worker; return its exit code, what it printed, and the most memory it had in MiB."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, "-m", "worker", *shlex.split(arguments)],
        env={**env, "PYTHONPATH": str(PROJECT)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    out, _, kibibytes = ran.stdout.rpartition("peak ")
    return ran.returncode, out, int(kibibytes) / 1024


MEASURE = """
import resource, subprocess, sys
ran = subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL)
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(ran.returncode)
"""
"""Between the two, since a process counts the memory of the one it was forked from as its own."""


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b", "\\u202e\\n\\tx" * 5000])
def test_whatever_an_error_says_of_itself_can_be_stored(engine: Engine, text: str):
    with Upstream(assets=1) as upstream:
        runner = Runner(engine, upstream, "coinpaprika")
        upstream.always(Answer(status=403, body=f'{{"error": "{text}"}}'.encode()))

        result = runner.run()

    assert result.ending.reason == "forbidden"
    assert runner.last_run().error == result.ending.error
