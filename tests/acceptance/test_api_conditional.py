"""Conditional requests to two processes of gunicorn, as one client sees them."""

import socket

import pytest

from tests.fakes.batches import COINGECKO, LATER, load, market
from tests.fakes.gunicorn import GIVE_UP, serving, until

PATH = "/data?page_size=2"
MANY = 20
"""So many requests, each with a connection of its own, that both processes answer some."""


@pytest.fixture
def gunicorn(engine, reader_url, tmp_path):
    load(engine, COINGECKO, *(market(f"c-{n}", f"s{n}", f"Coin {n}", n + 1) for n in range(5)))
    with serving(reader_url, tmp_path) as gunicorn:
        yield gunicorn


def test_both_processes_give_the_same_etag_and_see_what_is_committed(engine, gunicorn):
    etags = {gunicorn.get(PATH).headers["ETag"] for _ in range(MANY)}
    [etag] = etags
    condition = {"If-None-Match": etag}
    assert {gunicorn.get(PATH, headers=condition).status_code for _ in range(MANY)} == {304}

    load(engine, COINGECKO, market("c-1", "s1", "Coin 1", 77, LATER, market_cap=10**9))

    until(lambda: all(shows(gunicorn, 77) for _ in range(MANY)))
    [other] = {gunicorn.get(PATH).headers["ETag"] for _ in range(MANY)}
    assert other != etag
    assert {gunicorn.get(PATH, headers=condition).status_code for _ in range(MANY)} == {200}


def shows(gunicorn, price):
    return gunicorn.get(PATH).json()["data"][0]["price_usd"] == price


def test_what_a_client_has_already_is_not_sent_and_the_connection_goes_on(gunicorn):
    etag = gunicorn.get(PATH).headers["ETag"]
    asks = [
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {etag}\r\n\r\n",
        f"HEAD {PATH} HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /data/export HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=GIVE_UP) as client:
        client.sendall("".join(asks).encode())
        with client.makefile("rb") as file:
            answers = file.read().split(b"HTTP/1.1 ")[1:]

    assert [answer[:3] for answer in answers] == [b"304", b"200", b"200", b"200"]
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers[:3]] == [b"", b"", b""]
    assert b"\r\nTransfer-Encoding" not in b"".join(answers[:3])
    assert b"\r\nContent-Length" not in answers[0]
