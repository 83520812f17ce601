"""One client with many connections, others beside it, and probes that are always answered."""

import contextlib
import json
import re
import resource
import socket

import pytest
from sqlalchemy import text

from tests.fakes.gunicorn import GIVE_UP, serving, until

ADD = text(
    "INSERT INTO assets (slug, symbol, name, price_usd) "
    "SELECT 'a-' || n, 'S' || n % 7, repeat('coin', 8) || n, n / 7.0 "
    "FROM generate_series(1, 20000) AS n"
)
WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kasparro-api' "
    "AND datname = current_database() AND wait_event_type = 'Lock'"
)
ONE, OTHER = "127.0.0.1", "127.0.0.2"
SHARE = 3
PROCESSES = 2
EXPORT = "/data/export?format=ndjson"


@pytest.fixture
def gunicorn(conn, reader_url, tmp_path):
    conn.execute(ADD)
    with serving(reader_url, tmp_path, API_EXPORT_SECONDS="6") as gunicorn:
        yield gunicorn


@contextlib.contextmanager
def asking(gunicorn, path, count, address=ONE):
    """Send a request on each of so many connections from one address; give the connections."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            client = socket.create_connection(
                ("127.0.0.1", gunicorn.port), GIVE_UP, source_address=(address, 0)
            )
            opened.append(stack.enter_context(client))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        yield opened


def read_answer(client):
    with client.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


def ask(gunicorn, path, address):
    with asking(gunicorn, path, 1, address) as [client]:
        status, _, _ = read_answer(client)
        return status


def test_a_client_with_many_slow_queries_holds_up_neither_probes_nor_other_clients(
    engine, conn, gunicorn
):
    with contextlib.ExitStack() as stack, engine.begin() as owner:
        owner.execute(text("LOCK assets IN ACCESS EXCLUSIVE MODE"))
        stack.enter_context(asking(gunicorn, "/data", 40))
        # Of a process that has taken enough of its connections it has its share of the threads.
        until(lambda: conn.scalar(WAITING) >= SHARE)
        for path in ("/health/live", "/health/ready"):
            assert [ask(gunicorn, path, ONE) for _ in range(10)] == [200] * 10
        assert [ask(gunicorn, "/runs", OTHER) for _ in range(10)] == [200] * 10
        assert conn.scalar(WAITING) <= PROCESSES * SHARE

    assert ask(gunicorn, "/data", ONE) == 200


def test_a_client_that_sends_far_too_many_at_once_is_told_so(engine, gunicorn):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack, engine.begin() as owner:
        owner.execute(text("LOCK assets IN ACCESS EXCLUSIVE MODE"))
        clients = stack.enter_context(asking(gunicorn, "/data", 700))
        until(lambda: [line for line in gunicorn.lines() if line.get("status") == 429])
        assert ask(gunicorn, "/runs", OTHER) == 200
        for client in clients:
            client.setblocking(False)
        status, head, body = until(lambda: first_answer(clients))

    assert status == 429
    assert b"\r\nRetry-After: 1\r\n" in head
    assert json.loads(body)["code"] == "too_many_at_once"


def first_answer(clients):
    """Return the answer that says `too_many_at_once`; others were ended by their time limit."""
    for client in clients:
        with contextlib.suppress(BlockingIOError):
            if client.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 429":
                client.settimeout(GIVE_UP)
                return read_answer(client)
    return None


def test_a_client_that_does_not_take_its_export_loses_its_place(gunicorn):
    def says_it_was_cut():
        return [line for line in gunicorn.lines() if line["event"] == "an export was cut"]

    with asking(gunicorn, EXPORT, 1) as [slow]:
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
        [line] = until(says_it_was_cut)
        assert until(lambda: gunicorn.get(EXPORT).status_code == 200)
        with slow.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")

    assert line["reason"] == "too_long"
    assert len(body) < int(re.search(rb"Content-Length: (\d+)", head)[1])
    counted = 'kasparro_exports_cut_total{reason="too_long"} 1.0'
    assert counted in gunicorn.get("/metrics").text
