"""Listens for changes of the database, which invalidate the cache of responses.

Triggers notify of every commit that readers can see, including manual changes. Without changes this
costs nothing. The alternatives were refused: reading the version costs a query per request, and
a time to live would show stale data.
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
"""How often the connection is checked, and the data for a change without a notification."""

TRUSTED_SECONDS = 3.0
"""How long after the last successful check the cache may be used."""

PAUSE_SECONDS = 0.5
LONG_PAUSE_SECONDS = 60.0
"""Pause before the next connection: after a failure, and if no notifications can arrive. A standby
sends none, and a pooler in transaction mode delivers none."""

LISTEN = f'LISTEN "{CHANGES_CHANNEL}"'

# Every commit that readers can see raises one of these.
STATE = """
SELECT version, (SELECT max(id) FROM runs), (SELECT sum(batches) FROM checkpoints) FROM dataset
"""


class NoNotificationsError(Exception):
    """This connection delivers no notifications."""


class ChangeListener:
    """Listens for the triggers' notifications in a separate thread.

    A notification arrives within moments of its commit, and values cached by `mark` are stale for
    that long at most. The first `mark` starts the thread, because threads do not survive a fork.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._thread = BackgroundThread(self._run, "change listener")
        self._closed = threading.Event()
        self._wake_pair: tuple[socket.socket, socket.socket] | None = None
        self._changes = 0
        self._trusted_until = 0.0

    def mark(self) -> int | None:
        """Return a number that differs after every change; None while changes are not detected."""
        if self._wake_pair is None:
            self._open()
        self._thread.ensure()
        return self._changes if time.monotonic() < self._trusted_until else None

    def close(self) -> None:
        """End the thread. Values cached by `mark` must not be used afterwards."""
        self._closed.set()
        with self._lock:
            pair = self._wake_pair
        if pair is not None:
            receiver, sender = pair
            sender.close()
            self._thread.join()
            receiver.close()

    def _open(self) -> None:
        with self._lock:
            if self._wake_pair is None and not self._closed.is_set():
                self._wake_pair = socket.socketpair()  # `close` wakes the thread with it

    def _run(self) -> None:
        if self._wake_pair is None:  # closed before it was opened
            return
        receiver, _ = self._wake_pair
        while not self._closed.is_set():
            pause = PAUSE_SECONDS
            try:
                with contextlib.closing(self._connect()) as conn:
                    self._listen(conn, receiver)
            except NoNotificationsError as exc:
                log.warning("responses are not cached", extra={"reason": str(exc)})
                pause = LONG_PAUSE_SECONDS
            except (psycopg2.Error, OSError, MarketDataError) as exc:
                log.info(
                    "the change listener lost its connection", extra={"reason": str(exc).strip()}
                )
            self._trusted_until = 0.0
            self._changes += 1  # changes may have been missed
            self._closed.wait(pause)

    def _listen(self, conn: Any, receiver: socket.socket) -> None:
        conn.autocommit = True
        cursor = conn.cursor()
        try:
            cursor.execute(LISTEN)
        except psycopg2.errors.ReadOnlySqlTransaction as exc:
            raise NoNotificationsError("a standby sends no notifications") from exc
        state, missed = _read_state(cursor), False
        self._changes += 1
        while not self._closed.is_set():
            self._trusted_until = time.monotonic() + TRUSTED_SECONDS
            if self._await_notification(conn, receiver):
                state, missed = None, False
                continue
            if missed:
                raise NoNotificationsError(
                    "a change was not notified; "
                    "a pooler in transaction mode delivers no notifications"
                )
            before, state = state, _read_state(cursor)
            # The notification may still be on its way; then it arrives in the next iteration.
            missed = before is not None and state != before
            self._changes += missed

    def _await_notification(self, conn: Any, receiver: socket.socket) -> bool:
        """Wait at most one heartbeat and return whether a notification arrived."""
        if not conn.notifies:
            select.select([conn, receiver], [], [], HEARTBEAT_SECONDS)
            conn.poll()
        arrived = bool(conn.notifies)
        conn.notifies.clear()
        if arrived:
            self._changes += 1
        return arrived


def _read_state(cursor: Any) -> Any:
    cursor.execute(STATE)
    return cursor.fetchone()
