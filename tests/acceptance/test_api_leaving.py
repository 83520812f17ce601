"""Clients that leave before they are answered: their queries end in Postgres."""

import socket

import pytest
from sqlalchemy import text

from tests.fakes.api import add_asset
from tests.fakes.cases import sparse
from tests.fakes.gunicorn import GIVE_UP, serving, until

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kasparro-api' "
    "AND datname = current_database() AND wait_event_type = 'Lock' "
    "AND clock_timestamp() - query_start >= make_interval(secs => :seconds)"
)
LOCK = text("LOCK assets IN ACCESS EXCLUSIVE MODE")


@pytest.fixture
def gunicorn(reader_url, tmp_path):
    with serving(reader_url, tmp_path) as gunicorn:
        yield gunicorn


@pytest.fixture
def waiting(engine):
    """How many of the API's queries have waited for a lock, for so many seconds."""
    with engine.connect() as conn:
        conn = conn.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901
        yield lambda seconds=0: conn.scalar(WAITING, {"seconds": seconds})


def ask(gunicorn, path="/data"):
    client = socket.create_connection(("127.0.0.1", gunicorn.port), timeout=GIVE_UP)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: left\r\n\r\n".encode())
    return client


@pytest.mark.parametrize("leaves", sparse(["closes", "resets", "ends its sending"], 3))
def test_the_query_of_a_client_that_leaves_is_cancelled(engine, gunicorn, waiting, leaves):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin")

    with engine.connect() as owner:
        owner.execute(LOCK)
        client = ask(gunicorn)
        until(lambda: waiting() == 1)
        if leaves == "resets":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        if leaves == "ends its sending":
            client.shutdown(socket.SHUT_WR)
        else:
            client.close()
        until(lambda: waiting() == 0)

        # It was cancelled, not timed out: the log says who ended it.
        [line] = until(lambda: [line for line in gunicorn.lines() if is_answer(line)])
        assert line["status"] == 499
        client.close()
        assert gunicorn.get("/health/live").status_code == 200

    assert gunicorn.get("/data").json()["meta"]["total"] == 1


def is_answer(line):
    return line.get("request_id") == "left" and "status" in line


@pytest.mark.slow
def test_more_clients_that_leave_than_there_are_threads_keep_nobody_out(engine, gunicorn):
    with engine.connect() as owner:
        owner.execute(LOCK)
        for _ in range(30):
            ask(gunicorn).close()
        assert gunicorn.get("/health/ready").status_code == 200

    assert gunicorn.get("/data").status_code == 200


def test_a_client_that_stays_is_answered(engine, gunicorn, waiting):
    with engine.connect() as owner:
        owner.execute(LOCK)
        with ask(gunicorn) as client:
            until(lambda: waiting(seconds=1) == 1)
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            owner.rollback()
            with client.makefile("rb") as file:
                answers = file.read()

    assert answers.count(b"HTTP/1.1 200 ") == 2
