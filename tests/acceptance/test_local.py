"""`make run` as seen at the terminal: its output, its services, and how it stops."""

import json
import os
import select
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy.engine import URL

from tests.fakes.databases import copy_folder
from tests.fakes.local_start import SECONDS, Starter, ends_with_nobody_in, free_port, starts_in

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def new_project(empty_project: Path) -> Iterator[Path]:
    """A copy of this project that was never started; the test must leave no process behind."""
    for name in ("api", "data", "migrations", "shared", "worker"):
        shutil.copytree(PROJECT / name, empty_project / name)
    shutil.copy(PROJECT / "pyproject.toml", empty_project)
    yield empty_project
    assert ends_with_nobody_in(empty_project)


@pytest.fixture
def project(new_project: Path, stopped_server: Path) -> Path:
    """A copy with an initialized database folder, which saves time."""
    copy_folder(stopped_server, new_project)
    return new_project


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start(project: Path, port: int) -> Iterator[Starter]:
    yield from starts_in(project, port)


@pytest.fixture
def first_start(new_project: Path, port: int) -> Iterator[Starter]:
    yield from starts_in(new_project, port)


def test_it_shows_what_it_does_refuses_a_second_start_and_stops_in_order_on_ctrl_c(
    first_start: Starter, new_project: Path, httpserver: HTTPServer
):
    httpserver.expect_request("/tickers").respond_with_data("no", status=403)
    settings = {"SOURCES": "csv,coinpaprika", "COINPAPRIKA_BASE_URL": httpserver.url_for("")}
    first = first_start(**settings)
    said = first.until("Press Ctrl-C to stop")

    assert f"in {new_project}/.local/postgres/data" in said
    assert "0 assets stored" in said
    assert "          csv: sample data of 2021 until a provider has been read; set CSV_" in said
    assert f"dashboard http://127.0.0.1:{first.port}/ in a browser" in said
    assert f"API       http://127.0.0.1:{first.port}, log: .local/logs/api.log" in said
    assert "loaded    csv succeeded, 100 records: 100 new, 0 unchanged, 0 rejected" in said
    assert "loaded    coinpaprika failed, 0 records" in said
    assert "HTTP 403" in said
    assert f"curl 'http://127.0.0.1:{first.port}/data?symbol=BTC'" in said
    assert [asset["symbol"] for asset in first.get("/data?symbol=BTC")["data"]] == ["BTC"]

    csv, _ = first.get("/health")["data"]["sources"]
    assert (csv["status"], csv["reason"]) == ("warn", "sample")

    refused = first_start()
    assert refused.end() == 2
    running = f"process {first.process.pid} at http://127.0.0.1:{first.port}/"
    assert f"already running in this folder as {running}" in refused.said

    os.write(first.terminal, b"\x03")  # each press makes the terminal forget unread output
    first.until("stopping the worker after its current batch, then the API, then the database")
    os.write(first.terminal, b"\x03")
    assert first.end() == 0
    assert first.said.endswith("stopped\n")
    assert ends_with_nobody_in(new_project)
    logs = new_project / ".local" / "logs"
    assert "Traceback" not in first.said + (logs / "worker.log").read_text()
    assert "Traceback" not in (logs / "api.log").read_text()

    second = first_start(**settings)
    assert "100 assets stored" in second.until("API ")
    assert [asset["symbol"] for asset in second.get("/data?symbol=BTC")["data"]] == ["BTC"]


def test_a_signal_during_the_start_is_not_lost(start: Starter):
    started = start()
    started.until("starting")

    started.process.send_signal(signal.SIGINT)

    assert started.end() == 0
    assert started.said.endswith("stopped\n")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        pytest.param("worker\0run", "worker", id="worker"),
        pytest.param("gunicorn", "API", id="api"),
    ],
)
@pytest.mark.slow  # the case of the database is tested in the fast suite
def test_when_a_service_ends_unexpectedly_all_stop_and_its_log_is_quoted(
    start: Starter, project: Path, words: str, name: str
):
    started = start()
    started.until("Press Ctrl-C to stop")

    os.kill(started.child(words), signal.SIGKILL)

    assert started.end() == 1
    assert (
        f"Error: the {name} ended unexpectedly (killed by signal 9, Killed); last lines"
        in started.said
    )
    assert f"{name.lower()}.log" in started.said
    assert ends_with_nobody_in(project)


def test_the_next_start_works_after_the_database_or_all_was_killed(start: Starter, project: Path):
    first = start()
    first.until("Press Ctrl-C to stop")
    pid_file = project / ".local" / "postgres" / "data" / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    assert first.end() == 1
    assert "Error: the database ended unexpectedly" in first.said

    second = start()
    assert "100 assets stored" in second.until("Press Ctrl-C to stop")
    children = [os.pidfd_open(second.child(words)) for words in ("gunicorn", "worker")]
    second.process.kill()
    second.process.wait()
    for child in children:
        assert select.select([child], [], [], SECONDS)[0]
        os.close(child)

    third = start()
    assert "100 assets stored" in third.until("Press Ctrl-C to stop")
    third.process.terminate()
    assert third.end() == 0
    assert ends_with_nobody_in(project)


def test_a_taken_port_is_refused_before_anything_starts(
    first_start: Starter, new_project: Path, port: int
):
    with socket.create_server(("127.0.0.1", port)):
        refused = first_start()

        assert refused.end() == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in refused.said
    assert f"API_PORT={port + 1} make run" in refused.said
    assert [path.name for path in (new_project / ".local").iterdir()] == ["run.lock"]


def test_with_database_url_set_everything_uses_that_database(
    first_start: Starter, new_project: Path, database_url: URL
):
    url = database_url.render_as_string(hide_password=False)
    for _ in range(2):
        started = first_start(DATABASE_URL=url)
        started.until("Press Ctrl-C to stop")
        assert [asset["symbol"] for asset in started.get("/data?symbol=BTC")["data"]] == ["BTC"]
        started.process.terminate()
        assert started.end() == 0

    assert not (new_project / ".local" / "postgres").exists()
    logins = new_project / ".local" / "api-logins.json"
    assert stat.S_IMODE(logins.stat().st_mode) == 0o600
    assert len(json.loads(logins.read_text())) == 1


@pytest.mark.slow
def test_the_api_alone_on_another_database_is_refused(start: Starter):
    refused = start(API_DATABASE_URL="postgresql://reader:secret@127.0.0.1:9/elsewhere")

    assert refused.end() == 2
    assert "API_DATABASE_URL is set but DATABASE_URL is not" in refused.said
    assert "secret" not in refused.said
