"""Opens connections to Postgres within a deadline, and fails fast while it cannot be reached."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psycopg2

from api.database.threads import Start
from api.request.problems import DatabaseUnavailableError
from shared.errors import MarketDataError

Connect = Callable[[], Any]

DEADLINE_SECONDS = 0.7
"""How long a request waits for a connection. libpq's own timeout is at least 2 s and excludes name
resolution."""

PAUSE_SECONDS = 0.4
"""After a failed attempt, requests are refused without another attempt for this long."""

MAX_OVERDUE = 8
"""How many attempts may hang, on a name server or a silent host, before no more are started."""

log = logging.getLogger(__name__)


class Connector:
    """Opens connections in threads, so that no request waits longer than the deadline.

    The connection of a late attempt is used for the next request. While attempts fail, the first
    request after each pause makes another one. All other requests are refused at once.
    """

    def __init__(
        self,
        connect: Connect,
        deadline: float = DEADLINE_SECONDS,
        pause: float = PAUSE_SECONDS,
        start: Start = threading.Thread.start,
    ) -> None:
        self._connect = connect
        self._start = start
        self._deadline = deadline
        self._pause = pause
        self._lock = threading.Lock()
        self._late: deque[Any] = deque()
        self._overdue = 0
        self._refuse_until: float | None = None

    def __call__(self) -> Any:
        """Return a new connection.

        Raises:
            DatabaseUnavailableError: no connection was opened within the deadline.
        """
        with self._lock:
            if self._late:
                self._refuse_until = None
                return self._late.popleft()
            self._admit()
        attempt: Future[Any] = Future()
        thread = threading.Thread(
            target=self._run, args=(attempt,), name="connect to Postgres", daemon=True
        )
        try:
            self._start(thread)
            connection = attempt.result(self._deadline)
        except TimeoutError as exc:
            with self._lock:
                self._overdue += 1
            attempt.add_done_callback(self._store_late)
            raise self._failed(f"no answer within {self._deadline} s") from exc
        except (psycopg2.Error, MarketDataError, RuntimeError) as exc:  # no thread could start
            raise self._failed(str(exc).strip()) from exc
        self._succeeded()
        return connection

    def close(self) -> None:
        """Close the connections of late attempts that no request used."""
        with self._lock:
            while self._late:
                self._late.popleft().close()

    def _admit(self) -> None:
        """Allow this request an attempt, or refuse it. The caller holds the lock."""
        if self._refuse_until is None:
            return
        now = time.monotonic()
        if now < self._refuse_until or self._overdue >= MAX_OVERDUE:
            raise DatabaseUnavailableError
        self._refuse_until = now + self._deadline + self._pause

    def _run(self, attempt: "Future[Any]") -> None:
        try:
            attempt.set_result(self._connect())
        except BaseException as exc:  # noqa: BLE001  `result` raises it in the request's thread
            attempt.set_exception(exc)

    def _store_late(self, attempt: "Future[Any]") -> None:
        """Store the connection of an attempt that finished after its deadline."""
        with self._lock:
            self._overdue -= 1
            if attempt.exception() is None:
                self._late.append(attempt.result())
                self._refuse_until = None

    def _failed(self, reason: str) -> DatabaseUnavailableError:
        with self._lock:
            first = self._refuse_until is None
            self._refuse_until = time.monotonic() + self._pause
        if first:
            log.error("the database could not be reached", extra={"reason": reason})
        return DatabaseUnavailableError()

    def _succeeded(self) -> None:
        with self._lock:
            was_down, self._refuse_until = self._refuse_until is not None, None
        if was_down:
            log.info("the database was reached again")
