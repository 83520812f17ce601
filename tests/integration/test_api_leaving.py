"""Clients that leave: whose query a cancellation may hit."""

import contextlib
import socket

import pytest
from sqlalchemy import text

from api.database.watchdog import Watchdog
from tests.fakes.api import api_on
from tests.fakes.gunicorn import until

BACKEND = text("SELECT pg_backend_pid()")


class LateWatchdog(Watchdog):
    """Has something done when a query is answered, and the watch over it has not ended yet."""

    def __init__(self, do):
        super().__init__(max_seconds=60)
        self.do = do

    @contextlib.contextmanager
    def watching(self, *args):
        with super().watching(*args) as watched:
            try:
                yield watched
            finally:
                self.do(watched)


@pytest.fixture
def database(reader_url):
    with api_on(reader_url) as client:
        app = client.application
        ours, theirs = socket.socketpair()
        with ours, theirs, app.test_request_context(environ_base={"gunicorn.socket": ours}):
            yield app.extensions["database"], theirs


def test_a_connection_whose_client_leaves_at_the_last_moment_is_used_no_more(database):
    database, client = database

    def leave(watched):
        client.close()
        until(lambda: watched.client_left)

    database.watchdog = LateWatchdog(leave)
    with database.connect() as conn:
        cancelled = conn.scalar(BACKEND)

    database.watchdog.do = lambda _: None
    for _ in range(10):
        with database.engine.connect() as conn:
            assert conn.scalar(BACKEND) != cancelled


def test_a_connection_whose_client_stays_is_used_again(database):
    database, _client = database

    backends = set()
    for _ in range(3):
        with database.connect() as conn:
            backends.add(conn.scalar(BACKEND))

    assert len(backends) == 1
