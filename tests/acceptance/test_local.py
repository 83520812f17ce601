"""What `make run` starts, as the person at the terminal meets it."""

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


@pytest.fixture
def start(project: Path, port: int) -> Iterator[Starter]:
    yield from starts_in(project, port)


@pytest.fixture
def first_start(new_project: Path, port: int) -> Iterator[Starter]:
    yield from starts_in(new_project, port)


def test_it_says_what_runs_where_and_what_was_loaded_and_a_second_start_has_the_data(
    first_start: Starter, new_project: Path, httpserver: HTTPServer
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
    start: Starter, project: Path
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


def test_a_signal_during_the_start_is_not_lost(start: Starter):
    started = start()
    started.until("starting")

    started.process.send_signal(signal.SIGINT)

    assert started.end() == 0
    assert started.said.endswith("stopped\n")


def test_killed_it_takes_its_children_along_and_the_next_start_works(start: Starter, project: Path):
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
    start: Starter, project: Path, words: str, name: str
):
    started = start()
    started.until("Ctrl-C stops all of it")

    os.kill(started.child(words), signal.SIGKILL)

    assert started.end() == 1
    assert f"Error: the {name} ended by itself, with exit status -9; the end of" in started.said
    assert f"{name.lower()}.log" in started.said
    assert ends_with_nobody_in(project)


def test_a_database_that_ends_by_itself_ends_all_and_recovers_at_the_next_start(
    start: Starter, project: Path
):
    first = start()
    first.until("Ctrl-C stops all of it")

    pid_file = project / ".local" / "postgres" / "data" / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

    assert first.end() == 1
    assert "Error: the database ended by itself" in first.said
    assert "100 assets so far" in start().until("API ")


def test_a_taken_port_is_refused_before_anything_starts(
    first_start: Starter, new_project: Path, port: int
):
    with socket.create_server(("127.0.0.1", port)):
        refused = first_start()

        assert refused.end() == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in refused.said
    assert f"API_PORT={port + 1} make run" in refused.said
    assert not (new_project / ".local").exists()


def test_with_database_url_set_everything_uses_that_database(
    first_start: Starter, new_project: Path, database_url: URL
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


def test_the_api_alone_on_another_database_is_refused(start: Starter):
    refused = start(API_DATABASE_URL="postgresql://reader:secret@127.0.0.1:9/elsewhere")

    assert refused.end() == 2
    assert "API_DATABASE_URL is set and DATABASE_URL is not" in refused.said
    assert "secret" not in refused.said
