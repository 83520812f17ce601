"""Checks the database once a second in a separate thread; probes report the last result."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg2

from api.database.threads import BackgroundThread
from api.database.watchdog import Watchdog, is_readable
from shared.errors import MarketDataError

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
"""How often the database is queried."""

RETRY_SECONDS = 0.25
"""Pause after a failed query."""

FIRST_SECONDS = 2.0
"""How long after the start of the thread a caller waits for the first beat."""

BROKEN_SECONDS = 0.05
"""How long a caller waits for the next beat if the server closed the connection."""

READ_REVISION = "SELECT version_num FROM alembic_version"


@dataclass(frozen=True, slots=True)
class Beat:
    """The result of one check: the schema's revision (None: no schema) or the failure."""

    at: float
    """The start of the check, by the monotonic clock."""
    revision: str | None = None
    failure: str | None = None


class Heartbeat:
    """Reads the schema's revision on a separate connection, in a thread.

    `last` does not wait for the server, except in the first two seconds of the thread.
    """

    def __init__(self, connect: Callable[[], Any], watchdog: Watchdog) -> None:
        self._connect = connect
        self._watchdog = watchdog
        self._changed = threading.Condition()
        self._thread = BackgroundThread(self._run, "heartbeat")
        self._closed = False
        self._wake = False
        self._idle: Any = None
        """The connection, while no query runs on it."""
        self._last: Beat | None = None
        self._first_until: float | None = None

    def start(self) -> None:
        """Start the thread, so that a beat is available before the first probe."""
        if self._thread.ensure() and self._first_until is None:
            self._first_until = time.monotonic() + FIRST_SECONDS

    def last(self) -> Beat | None:
        """Return the last beat; None before the first, or if the connection broke since."""
        self.start()
        with self._changed:
            if self._last is None:
                self._await_beat((self._first_until or 0.0) - time.monotonic())
            elif self._idle is not None and is_readable(self._idle.fileno()):
                self._last, self._idle, self._wake = None, None, True
                self._changed.notify_all()
                self._await_beat(BROKEN_SECONDS)
            return self._last

    def close(self) -> None:
        """End the thread and close its connection."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _await_beat(self, seconds: float) -> None:
        self._changed.wait_for(lambda: self._last is not None, max(seconds, 0.0))

    def _run(self) -> None:
        with contextlib.ExitStack() as connection:
            conn: Any = None
            while not self._closed:
                started = time.monotonic()
                try:
                    if conn is not None and is_readable(conn.fileno()):
                        conn = None
                        connection.close()
                    if conn is None:
                        conn = connection.enter_context(contextlib.closing(self._connect()))
                        conn.autocommit = True
                    beat = Beat(started, revision=self._read_revision(conn))
                except (psycopg2.Error, OSError, MarketDataError) as exc:
                    beat = Beat(started, failure=str(exc).strip())
                    conn = None
                    connection.close()
                self._publish(beat, conn)

    def _read_revision(self, conn: Any) -> str | None:
        """Read the revision; None if the table does not exist or cannot be read."""
        with self._watchdog.watching(conn.fileno()), conn.cursor() as cursor:
            try:
                cursor.execute(READ_REVISION)
            except psycopg2.ProgrammingError:
                return None
            row = cursor.fetchone()
        return row[0] if row else None

    def _publish(self, beat: Beat, conn: Any) -> None:
        """Publish a beat and wait until the next is due."""
        with self._changed:
            failed_before = self._last is not None and self._last.failure is not None
            self._last, self._idle, self._wake = beat, conn, False
            self._changed.notify_all()
            if beat.failure is not None and not failed_before:
                log.warning("the database did not answer", extra={"reason": beat.failure})
            elif beat.failure is None and failed_before:
                log.info("the database answered again")
            pause = BEAT_SECONDS if beat.failure is None else RETRY_SECONDS
            self._changed.wait_for(lambda: self._wake or self._closed, pause)
            self._idle = None
