"""What `make run` starts, as the person at the terminal meets it."""

import fcntl
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy.engine import URL

from tests.fakes.databases import copy_folder

PROJECT = Path(__file__).resolve().parent.parent.parent
SECONDS = 60


class Start:
    """One start in a project folder: what it says, line by line, and the processes it has."""

    def __init__(self, project: Path, port: int, **settings: str) -> None:
        self.port = port
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.terminal, inner = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker", "local"],
            cwd=project,
            env={**kept, "API_PORT": str(port), "SOURCES": "csv", **settings},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(inner)
        self.said = ""

    def until(self, words: str) -> str:
        """Read on until these words are said; return everything that was said so far."""
        give_up = time.monotonic() + SECONDS
        while words not in self.said:
            assert time.monotonic() < give_up, self.said
            if not self._read():
                break
        assert words in self.said, self.said
        return self.said

    def end(self) -> int:
        """Read what is said until it ends, and return its exit status."""
        give_up = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < give_up, self.said
        return self.process.wait(SECONDS)

    def _read(self) -> bool:
        if not select.select([self.terminal], [], [], SECONDS)[0]:
            return False
        try:
            some = os.read(self.terminal, 4096)
        except OSError:  # how a terminal says that nobody is at its other end
            return False
        self.said += some.decode().replace("\r\n", "\n")
        return bool(some)

    def get(self, path: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def child(self, words: str) -> int:
        """Return the process that it started with these words in its command line."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and words in (folder / "cmdline").read_text():
                    return int(folder.name)
            except OSError:  # it ended meanwhile
                continue
        raise AssertionError(f"no child runs {words!r}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.end()
        os.close(self.terminal)


@pytest.fixture
def new_project(empty_project: Path) -> Iterator[Path]:
    """A copy of this project in which nothing was started yet; it is left without processes."""
    for name in ("api", "data", "migrations", "shared", "worker"):
        shutil.copytree(PROJECT / name, empty_project / name)
    shutil.copy(PROJECT / "pyproject.toml", empty_project)
    yield empty_project
    assert ends_with_nobody_in(empty_project)


@pytest.fixture
def project(new_project: Path, stopped_server: Path) -> Path:
    """One in which a database server was started before, which saves its first start."""
    copy_folder(stopped_server, new_project)
    return new_project


@pytest.fixture
def port() -> int:
    return free_port()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def start(project: Path, port: int) -> Iterator["Starter"]:
    yield from starts_in(project, port)


@pytest.fixture
def first_start(new_project: Path, port: int) -> Iterator["Starter"]:
    yield from starts_in(new_project, port)


def starts_in(project: Path, port: int) -> Iterator["Starter"]:
    starter = Starter(project, port)
    yield starter
    for started in starter.started:
        started.close()


class Starter:
    def __init__(self, project: Path, port: int) -> None:
        self._project = project
        self._port = port
        self.started: list[Start] = []

    def __call__(self, **settings: str) -> Start:
        self.started.append(Start(self._project, self._port, **settings))
        return self.started[-1]


def ends_with_nobody_in(folder: Path) -> bool:
    """Whether every process that stands in a folder, or below it, ends within seconds."""
    give_up = time.monotonic() + SECONDS
    while True:
        standing = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink().is_relative_to(folder):
                    standing.append(os.pidfd_open(int(process.name)))
            except OSError:
                continue
        if not standing:
            return True
        for handle in standing:
            select.select([handle], [], [], max(0, give_up - time.monotonic()))
            os.close(handle)
        if time.monotonic() > give_up:
            return False


def test_it_says_what_runs_where_and_what_was_loaded_and_a_second_start_has_the_data(
    first_start: "Starter", new_project: Path, httpserver: HTTPServer
):
    httpserver.expect_request("/tickers").respond_with_data("no", status=403)
    settings = {"SOURCES": "csv,coinpaprika", "COINPAPRIKA_BASE_URL": httpserver.url_for("")}
    first = first_start(**settings)
    said = first.until("Ctrl-C stops all of it")

    assert f"in {new_project}/.local/postgres/data" in said
    assert "0 assets so far" in said
    assert "          csv is sample data of 2021, until a provider has been read; CSV_PATH " in said
    assert f"API       http://127.0.0.1:{first.port}, log in .local/logs/api.log" in said
    assert "loaded    csv succeeded, 100 records: 100 new, 0 unchanged, 0 rejected" in said
    assert "loaded    coinpaprika failed, 0 records" in said
    assert "HTTP 403" in said
    assert f"curl 'http://127.0.0.1:{first.port}/data?symbol=BTC'" in said
    assert [asset["symbol"] for asset in first.get("/data?symbol=BTC")["data"]] == ["BTC"]

    csv, _ = first.get("/health")["data"]["sources"]
    assert (csv["status"], csv["reason"]) == ("warn", "sample")

    first.process.terminate()
    assert first.end() == 0
    assert first.said.endswith("stopped\n")
    assert ends_with_nobody_in(new_project)

    second = first_start(**settings)
    assert "100 assets so far" in second.until("API ")
    assert [asset["symbol"] for asset in second.get("/data?symbol=BTC")["data"]] == ["BTC"]


def test_a_second_start_is_refused_and_ctrl_c_stops_the_first_in_order_however_often_it_is_pressed(
    start: "Starter", project: Path
):
    started = start()
    started.until("Ctrl-C stops all of it")

    second = start(API_PORT=str(free_port()))
    assert second.end() == 2
    assert f"in this folder already, as process {started.process.pid}" in second.said

    os.write(started.terminal, b"\x03")  # each press makes the terminal forget unread output
    started.until("stopping the worker after the batch in flight, the API, and the database")
    os.write(started.terminal, b"\x03")

    assert started.end() == 0
    assert started.said.endswith("stopped\n")
    assert "Traceback" not in started.said
    assert "Traceback" not in (project / ".local/logs/worker.log").read_text()
    assert "Traceback" not in (project / ".local/logs/api.log").read_text()


def test_a_signal_during_the_start_is_not_lost(start: "Starter"):
    started = start()
    started.until("starting")

    started.process.send_signal(signal.SIGINT)

    assert started.end() == 0
    assert started.said.endswith("stopped\n")


def test_killed_it_takes_its_children_along_and_the_next_start_works(
    start: "Starter", project: Path
):
    first = start()
    first.until("Ctrl-C stops all of it")
    children = [os.pidfd_open(first.child(words)) for words in ("gunicorn", "worker")]
    first.process.kill()
    first.process.wait()
    for child in children:
        assert select.select([child], [], [], SECONDS)[0]
        os.close(child)

    second = start()
    assert "100 assets so far" in second.until("Ctrl-C stops all of it")
    second.process.terminate()
    assert second.end() == 0
    assert ends_with_nobody_in(project)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        pytest.param("worker\0run", "worker", id="worker"),
        pytest.param("gunicorn", "API", id="api"),
    ],
)
@pytest.mark.slow  # as where the database ends by itself
def test_a_part_that_ends_by_itself_ends_all_with_its_last_words(
    start: "Starter", project: Path, words: str, name: str
):
    started = start()
    started.until("Ctrl-C stops all of it")

    os.kill(started.child(words), signal.SIGKILL)

    assert started.end() == 1
    assert f"Error: the {name} ended by itself, with exit status -9; the end of" in started.said
    assert f"{name.lower()}.log" in started.said
    assert ends_with_nobody_in(project)


def test_a_database_that_ends_by_itself_ends_all_and_recovers_at_the_next_start(
    start: "Starter", project: Path
):
    first = start()
    first.until("Ctrl-C stops all of it")

    pid_file = project / ".local" / "postgres" / "data" / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

    assert first.end() == 1
    assert "Error: the database ended by itself" in first.said
    assert "100 assets so far" in start().until("API ")


def test_a_taken_port_is_refused_before_anything_starts(
    first_start: "Starter", new_project: Path, port: int
):
    with socket.create_server(("127.0.0.1", port)):
        refused = first_start()

        assert refused.end() == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in refused.said
    assert f"API_PORT={port + 1} make run" in refused.said
    assert not (new_project / ".local").exists()


def test_with_database_url_set_everything_uses_that_database(
    first_start: "Starter", new_project: Path, database_url: URL
):
    url = database_url.render_as_string(hide_password=False)
    for _ in range(2):
        started = first_start(DATABASE_URL=url)
        started.until("Ctrl-C stops all of it")
        assert [asset["symbol"] for asset in started.get("/data?symbol=BTC")["data"]] == ["BTC"]
        started.process.terminate()
        assert started.end() == 0

    assert not (new_project / ".local" / "postgres").exists()
    logins = new_project / ".local" / "api-logins.json"
    assert stat.S_IMODE(logins.stat().st_mode) == 0o600
    assert len(json.loads(logins.read_text())) == 1


def test_the_api_alone_on_another_database_is_refused(start: "Starter"):
    refused = start(API_DATABASE_URL="postgresql://reader:secret@127.0.0.1:9/elsewhere")

    assert refused.end() == 2
    assert "API_DATABASE_URL is set and DATABASE_URL is not" in refused.said
    assert "secret" not in refused.said
