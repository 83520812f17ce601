"""The servers that are measured, each started as its users start it, on a free port of loopback."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy.engine import URL

from tests.bench.api_load import ask
from tests.bench.api_market import LOADED
from tests.bench.measure import ROOT

START_SECONDS = 30
STOP_SECONDS = 30


@contextlib.contextmanager
def gunicorn(app: str, name: str, folder: Path, **environ: str) -> Iterator[int]:
    """Serve an application under the API's own settings of gunicorn; give its port."""
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        ROOT / "api/server/gunicorn.conf.py",
        app,
    ]
    port = free_port()
    with _serving(command, port, folder / f"{name}.log", {"API_PORT": str(port), **environ}):
        yield port


def ours(
    name: str, folder: Path, url: URL, **environ: str
) -> contextlib.AbstractContextManager[int]:
    """Serve the API, with nobody held back, as one that knows of no source but those loaded."""
    return gunicorn(
        "api.wsgi:app",
        name,
        folder,
        API_DATABASE_URL=url.render_as_string(hide_password=False),
        API_RATE_LIMIT="off",
        SOURCES=",".join(LOADED),
        **environ,
    )


@contextlib.contextmanager
def uvicorn(python: Path, app: str, folder: Path, url: URL) -> Iterator[int]:
    """Serve the peer with two workers; give its port."""
    port = free_port()
    command = [python, "-m", "uvicorn", app, "--workers", "2", "--port", str(port)]
    database = url.render_as_string(hide_password=False)
    with _serving(command, port, folder / "peer.log", {"BENCH_DATABASE": database}):
        yield port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _serving(
    command: Sequence[object], port: int, log: Path, environ: Mapping[str, str]
) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=log.parent,  # where there is no .env
            stdout=out,
            stderr=out,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
            start_new_session=True,
        )
    try:
        _wait_for(process, port, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return once it answers, whatever that is: to listen is not yet to have an application."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(port, "/", {})
            return
        time.sleep(0.05)
    raise SystemExit(f"{log.name}: it does not start:\n{log.read_text()[-2000:]}")
