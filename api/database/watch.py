"""Whether anything changed in the database since a moment: what lets a process keep its answers.

Triggers notify of every commit that readers can see, so changes by hand invalidate the cache too,
and nothing is spent while nothing changes. Asking for the version with each request would cost a
query, and a time to live would show old data.
"""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg2

from api.database.threads import BackgroundThread
from shared.errors import MarketDataError
from shared.schema.base import CHANGES_CHANNEL

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
"""How often the connection is tried, and the data asked for a change that was not notified."""

TRUSTED_SECONDS = 3.0
"""How long after its last sign of life the connection is believed to tell of changes."""

PAUSE_SECONDS = 0.5
LONG_PAUSE_SECONDS = 60.0
"""How long it waits before it connects again: after a failure, and where notifications cannot be
had at all (a standby has none, a pooler of transactions delivers none)."""

LISTEN = f'LISTEN "{CHANGES_CHANNEL}"'

# Whatever a commit that readers can see changes: one of these rises with it.
STATE = """
SELECT version, (SELECT max(id) FROM runs), (SELECT sum(batches) FROM checkpoints) FROM dataset
"""


class NoNotificationsError(Exception):
    """This connection does not tell of changes."""


class Watch:
    """Listens to what the triggers notify, in a thread of its own.

    A notification comes within moments of its commit, so that what is kept by `mark` is stale for
    as long at most. The thread starts with the first `mark`, since threads do not survive a fork.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._thread = BackgroundThread(self._run, "watch")
        self._closed = threading.Event()
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._changes = 0
        self._trusted_until = 0.0

    def mark(self) -> int | None:
        """Return a number that is another after every change; None while it is not known."""
        if self._ends is None:
            self._open()
        self._thread.ensure()
        return self._changes if time.monotonic() < self._trusted_until else None

    def close(self) -> None:
        """End the thread; what was kept is not to be trusted any more."""
        self._closed.set()
        with self._lock:
            ends = self._ends
        if ends is not None:
            heard, told = ends
            told.close()
            self._thread.join()
            heard.close()

    def _open(self) -> None:
        with self._lock:
            if self._ends is None and not self._closed.is_set():
                self._ends = socket.socketpair()  # what `close` wakes the thread with

    def _run(self) -> None:
        if self._ends is None:  # closed before it was opened
            return
        end, _ = self._ends
        while not self._closed.is_set():
            pause = PAUSE_SECONDS
            try:
                with contextlib.closing(self._connect()) as conn:
                    self._listen(conn, end)
            except NoNotificationsError as exc:
                log.warning("answers are not kept", extra={"reason": str(exc)})
                pause = LONG_PAUSE_SECONDS
            except (psycopg2.Error, OSError, MarketDataError) as exc:
                log.info("the watch for changes broke off", extra={"reason": str(exc).strip()})
            self._trusted_until = 0.0
            self._changes += 1  # whatever happened while nobody listened
            self._closed.wait(pause)

    def _listen(self, conn: Any, end: socket.socket) -> None:
        conn.autocommit = True
        cursor = conn.cursor()
        try:
            cursor.execute(LISTEN)
        except psycopg2.errors.ReadOnlySqlTransaction as exc:
            raise NoNotificationsError("a standby sends no notifications") from exc
        state, unheard = _read_state(cursor), False
        self._changes += 1
        while not self._closed.is_set():
            self._trusted_until = time.monotonic() + TRUSTED_SECONDS
            if self._hear(conn, end):
                state, unheard = None, False
                continue
            if unheard:
                raise NoNotificationsError(
                    "a change was not notified; a pooler of transactions delivers no notifications"
                )
            before, state = state, _read_state(cursor)
            # A notification that is still on the way is heard in the next turn.
            unheard = before is not None and state != before
            self._changes += unheard

    def _hear(self, conn: Any, end: socket.socket) -> bool:
        """Wait for a notification for one heartbeat, and say if there was one."""
        if not conn.notifies:
            select.select([conn, end], [], [], HEARTBEAT_SECONDS)
            conn.poll()
        heard = bool(conn.notifies)
        conn.notifies.clear()
        if heard:
            self._changes += 1
        return heard


def _read_state(cursor: Any) -> Any:
    cursor.execute(STATE)
    return cursor.fetchone()
