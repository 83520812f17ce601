"""The API as it is run: under gunicorn."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

PROJECT = Path(__file__).resolve().parents[2]
GIVE_UP = 60


class Gunicorn:
    """The API under gunicorn, as its image starts it."""

    def __init__(self, database_url: str, folder: Path, **environ: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "api.log"
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "--config",
            f"{PROJECT}/api/server/gunicorn.conf.py",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "api.wsgi:app"],
                cwd=folder,
                stderr=log,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(PROJECT),
                    "API_DATABASE_URL": database_url,
                    "API_PORT": str(self.port),
                    **environ,
                },
            )

    def get(self, path: str, **options) -> requests.Response:
        return requests.get(self.url + path, timeout=GIVE_UP, **options)

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(GIVE_UP)

    @property
    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]


def until(condition):
    """Wait for something that is bound to happen; fail when it does not in a long time."""
    give_up = time.monotonic() + GIVE_UP
    while time.monotonic() < give_up:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail("waited in vain")


def listens(gunicorn: Gunicorn) -> bool:
    assert gunicorn.process.poll() is None, gunicorn.log.read_text()
    with contextlib.suppress(requests.ConnectionError):
        return gunicorn.get("/health/live").ok
    return False


@contextlib.contextmanager
def serving(database_url, folder, **environ):
    gunicorn = Gunicorn(database_url.render_as_string(hide_password=False), folder, **environ)
    try:
        until(lambda: listens(gunicorn))
        yield gunicorn
    finally:
        if gunicorn.process.poll() is None:
            assert gunicorn.stop() == 0, gunicorn.log.read_text()
