"""The watchdog: queries on a silent socket are aborted."""

import contextlib
import socket
import threading

import pytest

from api.database.watchdog import Watchdog


@pytest.fixture
def pair():
    ends = socket.socketpair()
    for end in ends:
        end.settimeout(60)
    yield ends
    for end in ends:
        end.close()


def test_a_socket_that_says_nothing_is_shut(pair):
    ours, _ = pair
    with (
        contextlib.closing(Watchdog(max_seconds=0.05)) as watchdog,
        watchdog.watching(ours.fileno()),
    ):
        assert ours.recv(1) == b""


def test_a_socket_that_is_no_longer_watched_is_left_alone(pair):
    ours, theirs = pair
    other, _end = socket.socketpair()
    with contextlib.closing(Watchdog(max_seconds=0.05)) as watchdog, other, _end:
        with watchdog.watching(ours.fileno()):
            pass
        with watchdog.watching(other.fileno()):
            other.settimeout(60)
            assert other.recv(1) == b""

    theirs.send(b"x")
    assert ours.recv(1) == b"x"


def test_a_watchdog_that_never_watched_is_closed():
    Watchdog(max_seconds=1).close()


def test_a_query_is_cancelled_when_its_client_leaves(pair):
    client, theirs = pair
    cancelled = threading.Event()
    ours, _end = socket.socketpair()
    with contextlib.closing(Watchdog(max_seconds=60)) as watchdog, ours, _end:
        with watchdog.watching(
            ours.fileno(), client=client.fileno(), cancel=cancelled.set
        ) as watched:
            theirs.close()
            assert cancelled.wait(60)
        assert watched.client_left


def test_a_query_whose_client_stays_is_not_cancelled_whatever_that_sends(pair):
    client, theirs = pair
    silent, _end = socket.socketpair()
    with contextlib.closing(Watchdog(max_seconds=0.6)) as watchdog, silent, _end:
        with watchdog.watching(
            silent.fileno(), client=client.fileno(), cancel=lambda: pytest.fail("cancelled")
        ) as watched:
            theirs.sendall(b"GET / HTTP/1.1\r\n")
            silent.settimeout(60)
            assert silent.recv(1) == b""  # the time limit was reached
        assert not watched.client_left
