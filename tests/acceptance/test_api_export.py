"""Whole exports under gunicorn: large, slow, cut off, left in the middle."""

import hashlib
import socket
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
import requests
from sqlalchemy import text, update

from shared.embedded.server import READER
from shared.schema.market import asset_version, assets
from tests.fakes.databases import engine_on
from tests.fakes.gunicorn import GIVE_UP, serving, until

MANY = 60_000
"""So many that no socket's buffer holds the file."""

# Names of few different three characters: their index costs little.
ADD = text(
    "INSERT INTO assets (slug, symbol, name, price_usd, market_cap_usd) "
    "SELECT 'a-' || n, 'S' || n % 7, repeat('coin', 8) || n, n / 7.0, n % 100 "
    "FROM generate_series(1, :many) AS n"
)
IDENTITY = {"Accept-Encoding": "identity"}
END_ALL = text(
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'kasparro-api' AND state <> 'idle'"
)
STATES = text(
    "SELECT DISTINCT state FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'kasparro-api'"
)
PATH = "/data/export?format=ndjson"


@pytest.fixture(scope="module")
def owner(module_database_url):
    with (
        engine_on(module_database_url) as engine,
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn,
    ):
        conn.execute(ADD, {"many": MANY})
        yield conn


@pytest.fixture(scope="module")
def gunicorn(owner, module_database_url, tmp_path_factory):  # noqa: ARG001  loaded first
    folder = tmp_path_factory.mktemp("api")
    with serving(module_database_url.set(username=READER), folder) as gunicorn:
        yield gunicorn


def digest(content):
    return f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"


def peak(pid):
    """Return the most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def leave_in_the_middle(gunicorn):
    """Ask for an export, read the first of it and hang up; say whether there was a place for it."""
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=GIVE_UP) as client:
        client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.slow
def test_the_memory_that_an_export_takes_does_not_grow_with_it(conn, reader_url, tmp_path):
    conn.execute(ADD, {"many": 150_000})
    with serving(reader_url, tmp_path) as gunicorn:
        for _ in range(8):
            assert gunicorn.get(f"{PATH}&max_price_usd=900").status_code == 200
        before = {pid: peak(pid) for pid in gunicorn.workers}
        size, read = 0, hashlib.sha256()
        with gunicorn.get(PATH, stream=True, headers=IDENTITY) as answer:
            for chunk in answer.iter_content(1 << 16):
                size += len(chunk)
                read.update(chunk)
        growth = {pid: peak(pid) - before[pid] for pid in gunicorn.workers}

    assert size == int(answer.headers["Content-Length"]) > 50 * 2**20
    assert answer.headers["Repr-Digest"] == f"sha-256=:{b64encode(read.digest()).decode()}:"
    assert answer.headers["X-Total-Count"] == "150000"
    assert growth.keys() == before.keys()
    assert max(growth.values()) < size / 4


def test_a_slow_reader_gets_one_moment_of_the_data(owner, gunicorn):
    with gunicorn.get(PATH, stream=True, headers=IDENTITY) as answer:
        first = answer.raw.read(1 << 16)
        change = update(assets).where(assets.c.symbol == "S3")  # which are everywhere in the file
        owner.execute(change.values(price_usd=0, version=asset_version.next_value()))
        content = first + answer.raw.read()

    assert digest(content) == answer.headers["Repr-Digest"]
    assert content.count(b"\n") == MANY
    assert b'"price_usd":0,' not in content


def test_a_cut_file_is_noticed_by_the_clients_that_people_use(owner, gunicorn, tmp_path):
    with gunicorn.get(PATH, stream=True, headers=IDENTITY) as answer:
        answer.raw.read(1 << 16)
        assert owner.scalars(END_ALL).all() == [True]
        with pytest.raises(requests.RequestException):
            for _ in answer.iter_content(1 << 16):
                pass

    file = tmp_path / "assets.ndjson"
    command = ["curl", "--silent", "--limit-rate", "2M", "--output", file, gunicorn.url + PATH]
    until(lambda: gunicorn.get("/health/ready").ok)
    with subprocess.Popen(command) as curl:
        until(lambda: file.exists() and file.stat().st_size > 0)
        assert owner.scalars(END_ALL).all() == [True]
        assert curl.wait(GIVE_UP) == 18  # "partial file"
    until(lambda: gunicorn.get(PATH).status_code == 200)


def test_clients_that_leave_in_the_middle_keep_no_place_and_no_transaction(owner, gunicorn):
    for _ in range(8):  # twice as many as there are places
        until(lambda: leave_in_the_middle(gunicorn))

    until(lambda: owner.scalars(STATES).all() == ["idle"])
    assert gunicorn.get(PATH).status_code == 200
