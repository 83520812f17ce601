"""Aborts queries that exceed their time limit, or whose client has disconnected."""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg2
from werkzeug.exceptions import HTTPException

from api.database.threads import BackgroundThread, Start

CHECK_SECONDS = 0.25
"""How often the sockets of clients are checked."""

DISCONNECTED = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
"""Poll events of a socket whose client closed it, or closed its sending side.

Both look the same until something is sent. HTTP clients close both sides; nginx and Go make the
same assumption. Only Linux reports it; on other systems a query runs to its end.
"""


class ClientLeftError(HTTPException):
    """The client disconnected. The status is the one that nginx logs."""

    code = 499
    problem = "client_left"
    description = "the client closed the connection before the response was sent"


@dataclass(eq=False, slots=True)
class WatchedQuery:
    """A running query: its connection, time limit, client, and how to cancel it."""

    file: int
    deadline: float
    client: int | None
    cancel: Callable[[], object] | None
    client_left: bool = False


class Watchdog:
    """Aborts queries after `max_seconds`, and cancels queries whose client has disconnected.

    Postgres ends slow statements by itself. The time limit is for a server that does not respond,
    because it is frozen or its host hangs. Without it such queries would occupy all threads. One
    thread watches all queries. If it cannot start, only Postgres's own timeout limits them.
    """

    def __init__(self, max_seconds: float, start: Start = threading.Thread.start) -> None:
        self._max_seconds = max_seconds
        self._start = start
        self._lock = threading.Lock()
        self._queries: set[WatchedQuery] = set()
        self._thread = BackgroundThread(self._run, "watchdog", start)
        self._closed = threading.Event()

    @contextlib.contextmanager
    def watching(
        self,
        file: int,
        max_seconds: float | None = None,
        client: int | None = None,
        cancel: Callable[[], object] | None = None,
    ) -> Iterator[WatchedQuery]:
        """Watch the socket of a connection for one `with` block, optionally with its own limit.

        If the client closes its socket, `cancel` is called in a separate thread.
        """
        deadline = time.monotonic() + (max_seconds or self._max_seconds)
        query = WatchedQuery(file, deadline, client, cancel)
        with self._lock:
            self._queries.add(query)
        self._thread.ensure()
        try:
            yield query
        finally:
            with self._lock:
                self._queries.discard(query)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(min(self._max_seconds / 2, CHECK_SECONDS)):
            with self._lock:
                now = time.monotonic()
                for query in [each for each in self._queries if each.deadline < now]:
                    self._queries.remove(query)
                    _shut_down(query.file)
                for query in self._queries:
                    if query.client is None or query.cancel is None or query.client_left:
                        continue
                    if _is_disconnected(query.client):
                        # Set before the query can fail because of it. If no thread can start, the
                        # next check tries again.
                        query.client_left = True
                        query.client_left = _cancel_in_thread(query.cancel, self._start)


def _is_disconnected(file: int) -> bool:
    poll = select.poll()
    poll.register(file, DISCONNECTED)
    return any(events & DISCONNECTED for _, events in poll.poll(0))


def is_readable(file: int) -> bool:
    """Whether a socket has data. For an idle connection this means that the server closed it."""
    poll = select.poll()
    poll.register(file, select.POLLIN | select.POLLPRI)
    return bool(poll.poll(0))


def _cancel_in_thread(cancel: Callable[[], object], start: Start) -> bool:
    """Cancel a query in a separate thread, and return whether the thread could start.

    Cancelling opens a connection, which blocks if the host does not respond.
    """

    def run() -> None:
        with contextlib.suppress(psycopg2.Error):  # the query or the server has ended already
            cancel()

    return BackgroundThread(run, "cancel a query", start).ensure()


def _shut_down(file: int) -> None:
    """Shut down both directions of a socket, so that a blocked reader gets an end of file."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(file)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
