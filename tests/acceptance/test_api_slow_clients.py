"""Clients that are slow, silent or rude, and the others, who do not notice."""

import contextlib
import json
import resource
import socket

import pytest

from tests.fakes.gunicorn import GIVE_UP, serving

MANY = 60
"""Far more than there are threads."""

LINE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory, server):
    """It asks no database here."""
    with serving(server.url.set(database="nowhere"), tmp_path_factory.mktemp("api")) as gunicorn:
        yield gunicorn


@contextlib.contextmanager
def clients(gunicorn, says, count=MANY):
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", gunicorn.port), timeout=GIVE_UP)
            opened.append(stack.enter_context(client))
            client.sendall(says)
        yield opened


def is_open(client):
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    finally:
        client.settimeout(GIVE_UP)


def read_answer(client):
    with client.makefile("rb") as file:
        return file.read().partition(b"\r\n\r\n")


@pytest.mark.parametrize(
    "says", [b"", b"G", LINE, LINE + b"Content-Length: 1000\r\n\r\na"], ids=range(4)
)
def test_who_sends_a_part_of_a_request_keeps_nobody_waiting(gunicorn, says):
    with clients(gunicorn, says) as slow:
        assert gunicorn.get("/health/live").status_code == 200
        assert all(is_open(client) for client in slow)


def test_a_request_that_comes_in_drops_is_answered(gunicorn):
    with clients(gunicorn, b"", count=1) as [client]:
        for byte in LINE + b"Connection: close\r\n\r\n":
            client.sendall(bytes([byte]))
        head, _, body = read_answer(client)

    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["data"]["status"] == "pass"


def test_a_request_that_does_not_come_to_its_end_is_refused(gunicorn):
    with clients(gunicorn, LINE, count=1) as [started], clients(gunicorn, b"", count=1) as [silent]:
        head, _, body = read_answer(started)
        nothing = read_answer(silent)

    assert head.startswith(b"HTTP/1.1 408 ")
    problem = json.loads(body)
    assert problem["code"] == "request_timeout"
    [line] = [line for line in gunicorn.lines() if line.get("request_id") == problem["request_id"]]
    assert (line["logger"], line["status"], line["route"]) == ("api.request.access", 408, None)
    counted = 'method="other",route="unmatched",status="408"} 1.0'
    assert counted in gunicorn.get("/metrics").text
    assert nothing == (b"", b"", b"")


def test_who_does_not_take_leave_keeps_nobody_waiting(gunicorn):
    with clients(gunicorn, LINE + b"Connection: close\r\n\r\n", count=200) as rude:
        for client in rude:
            assert client.recv(13) == b"HTTP/1.1 200 "
        assert gunicorn.get("/health/live").status_code == 200


def test_who_takes_no_answer_keeps_nobody_waiting_and_can_still_take_it(gunicorn):
    size = len(gunicorn.get("/openapi.json").content)
    asked = (1 << 23) // size
    line = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n"
    says = (line + b"\r\n") * (asked - 1) + line + b"Connection: close\r\n\r\n"
    with clients(gunicorn, says) as slow:
        for client in slow:
            assert client.recv(13) == b"HTTP/1.1 200 "
        for _ in range(10):
            assert gunicorn.get("/health/live").status_code == 200

        with slow[0].makefile("rb") as file:
            rest = file.read()
        assert rest.count(b"HTTP/1.1 200 ") == asked - 1
        assert len(rest) > asked * size


@pytest.mark.parametrize(
    ("says", "status", "code"),
    [
        (b"Content-Length: 5000\r\n\r\n", 413, "request_entity_too_large"),
        (b"Transfer-Encoding: chunked\r\n\r\n", 413, "request_entity_too_large"),
        (b"A: " + b"a" * (1 << 16), 431, "request_header_fields_too_large"),
        (b"A: b\r\n" * 100 + b"\r\n", 431, "request_header_fields_too_large"),
        (b"A: b\n\n", 400, "bad_request"),
    ],
    ids=["long body", "body of any length", "long head", "many headers", "bare line feeds"],
)
def test_what_is_too_much_is_refused_without_waiting_for_the_rest(gunicorn, says, status, code):
    with clients(gunicorn, LINE + says, count=1) as [client]:
        head, _, body = read_answer(client)

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == code


def test_a_short_body_ends_the_connection(gunicorn):
    with clients(gunicorn, LINE + b"Content-Length: 3\r\n\r\nabc", count=1) as [client]:
        head, _, _ = read_answer(client)

    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in head


def test_requests_that_come_at_once_are_answered_one_after_the_other(gunicorn):
    last = LINE + b"Connection: close\r\n\r\n"
    with clients(gunicorn, (LINE + b"\r\n") * 3 + last[:-10], count=1) as [client]:
        client.sendall(last[-10:])
        with client.makefile("rb") as file:
            answers = file.read()

    assert answers.count(b"HTTP/1.1 200 ") == 4
    assert answers.count(b"\r\nConnection: close\r\n") == 1


def test_with_all_connections_taken_a_further_one_takes_the_place_of_an_idle_one(gunicorn):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with clients(gunicorn, b"G", count=1700):
        assert gunicorn.get("/health/live").status_code == 200
