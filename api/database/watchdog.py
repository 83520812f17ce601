"""Limits on how long a query is waited for: a silent server's patience, and the client's."""

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

LOOK_SECONDS = 0.25
"""How often is looked whether a client is still there."""

ENDED = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
"""What a client's socket says when its end was closed, or its end for sending.

The two cannot be told apart before something is sent. Clients of HTTP close both; nginx and Go take
it so, too. Where the system does not tell (it is Linux that does), a query runs to its end.
"""


class ClientLeftError(HTTPException):
    """There is nobody left to answer; the status is what nginx's log calls it."""

    code = 499
    problem = "client_left"
    description = "the client closed the connection before it was answered"


@dataclass(eq=False, slots=True)
class Watched:
    """A query under way: when patience with it ends, for whom it is, and how it is cancelled."""

    file: int
    end: float
    client: int | None
    cancel: Callable[[], object] | None
    client_left: bool = False


class Watchdog:
    """Breaks off a query that outlasts `patience` seconds; cancels one that nobody waits for.

    Postgres ends slow statements by itself. The patience is for a server that cannot: one that was
    frozen, or whose host keeps the connection open and does nothing. Without it each of them would
    hold a thread for good, until none is left to answer. One thread watches over all queries. While
    it cannot be started they run unwatched, and Postgres' own timeout is what ends them.
    """

    def __init__(self, patience: float, start: Start = threading.Thread.start) -> None:
        self._patience = patience
        self._start = start
        self._lock = threading.Lock()
        self._watched: set[Watched] = set()
        self._thread = BackgroundThread(self._run, "watchdog", start)
        self._closed = threading.Event()

    @contextlib.contextmanager
    def watching(
        self,
        file: int,
        patience: float | None = None,
        client: int | None = None,
        cancel: Callable[[], object] | None = None,
    ) -> Iterator[Watched]:
        """Watch over a connection's socket during one `with` block, with a patience of its own.

        When the client's socket is closed at its other end, `cancel` is called, in a thread.
        """
        watched = Watched(file, time.monotonic() + (patience or self._patience), client, cancel)
        with self._lock:
            self._watched.add(watched)
        self._thread.ensure()
        try:
            yield watched
        finally:
            with self._lock:
                self._watched.discard(watched)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(min(self._patience / 2, LOOK_SECONDS)):
            with self._lock:
                now = time.monotonic()
                for watched in [each for each in self._watched if each.end < now]:
                    self._watched.remove(watched)
                    _shut(watched.file)
                for watched in self._watched:
                    if watched.client is None or watched.cancel is None or watched.client_left:
                        continue
                    if _has_ended(watched.client):
                        # Before the query can fail of it; where no thread can be started, the next
                        # look tries again.
                        watched.client_left = True
                        watched.client_left = _call_aside(watched.cancel, self._start)


def _has_ended(file: int) -> bool:
    poll = select.poll()
    poll.register(file, ENDED)
    return any(seen & ENDED for _, seen in poll.poll(0))


def has_something_to_read(file: int) -> bool:
    """Whether an idle connection was closed: until then a server says nothing unasked."""
    poll = select.poll()
    poll.register(file, select.POLLIN | select.POLLPRI)
    return bool(poll.poll(0))


def _call_aside(cancel: Callable[[], object], start: Start) -> bool:
    """Cancel a query in a thread of its own: it takes a connection, which a dead host lets hang.

    Return whether that thread could be started.
    """

    def run() -> None:
        with contextlib.suppress(psycopg2.Error):  # it has ended, or the server has
            cancel()

    return BackgroundThread(run, "cancel a query", start).ensure()


def _shut(file: int) -> None:
    """End both directions of a socket, so that whoever reads it reads its end."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(file)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
