"""Threads that cannot start, as where a user has as many processes as it may have."""

import contextlib
import socket
import threading

import psycopg2
import pytest

from api.database.connector import Connector
from api.database.threads import BackgroundThread
from api.database.watchdog import Watchdog
from api.request.problems import DatabaseUnavailableError

GIVE_UP = 60


class Room:
    """Room for threads: there is none until it is given."""

    def __init__(self):
        self.refused = threading.Semaphore(0)
        self.is_there = False

    def start(self, thread):
        if not self.is_there:
            self.refused.release()
            raise RuntimeError("can't start new thread")
        thread.start()


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(GIVE_UP)
        yield ours, theirs


def test_a_thread_without_room_is_started_when_there_is_some(room):
    ran = threading.Event()
    thread = BackgroundThread(ran.set, "test", room.start)

    assert not thread.ensure()
    room.is_there = True
    while not thread.ensure():
        threading.Event().wait(0.05)
    assert ran.wait(GIVE_UP)
    thread.join()


def test_a_thread_that_ended_is_started_again_until_it_is_joined():
    runs = threading.Semaphore(0)
    thread = BackgroundThread(runs.release, "test")

    for _ in range(2):
        while not runs.acquire(blocking=False):
            thread.ensure()
    thread.join()
    assert not thread.ensure()


def test_queries_run_unwatched_while_the_watchdog_has_no_thread_and_are_watched_after(room, pair):
    ours, _ = pair
    with contextlib.closing(Watchdog(max_seconds=0.05, start=room.start)) as watchdog:
        with watchdog.watching(ours.fileno()):
            pass
        room.is_there = True
        while True:
            with watchdog.watching(ours.fileno()):
                ours.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    assert ours.recv(1) == b""
                    return


def test_a_query_whose_client_left_is_cancelled_when_there_is_a_thread_for_it(pair):
    client, theirs = pair
    cancelled = threading.Event()
    refused = threading.Semaphore(0)

    def start(thread):
        if thread.name == "cancel a query" and not refused.acquire(blocking=False):
            refused.release()
            raise RuntimeError("can't start new thread")
        thread.start()

    ours, _end = socket.socketpair()
    watchdog = Watchdog(max_seconds=60, start=start)
    watching = watchdog.watching(ours.fileno(), client=client.fileno(), cancel=cancelled.set)
    with contextlib.closing(watchdog), ours, _end, watching:
        theirs.close()
        assert cancelled.wait(GIVE_UP)


def test_a_connection_for_which_there_is_no_thread_is_refused_and_the_next_one_is_made(room):
    def connect():
        raise psycopg2.OperationalError("reached")

    connector = Connector(connect, pause=0.0, start=room.start)
    with pytest.raises(DatabaseUnavailableError):
        connector()
    assert room.refused.acquire(blocking=False)

    room.is_there = True
    with pytest.raises(DatabaseUnavailableError) as caught:
        connector()
    assert "reached" in str(caught.value.__cause__)
