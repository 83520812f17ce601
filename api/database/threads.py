"""Threads in the background, on machines that may have no room for one more."""

import logging
import threading
import time
from collections.abc import Callable

Start = Callable[[threading.Thread], None]

PAUSE_SECONDS = 1.0
"""How long after a failed start no other is tried."""

log = logging.getLogger(__name__)


class BackgroundThread:
    """A thread that starts with its first use, since threads do not survive a fork.

    Where it cannot start, or ended with an error, a later use starts it again.
    """

    def __init__(
        self, run: Callable[[], None], name: str, start: Start = threading.Thread.start
    ) -> None:
        self._run, self._name, self._start = run, name, start
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._resume_at = 0.0

    def ensure(self) -> bool:
        """Start it where it does not run, and return whether it runs."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            return True
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return True
            if self._closed or time.monotonic() < self._resume_at:
                return False
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                self._start(thread)
            except RuntimeError as exc:  # the limit of the user's processes, or of memory
                self._resume_at = time.monotonic() + PAUSE_SECONDS
                reason = {"purpose": self._name, "reason": str(exc)}
                log.error("a thread could not be started", extra=reason)  # noqa: TRY400
                return False
            self._thread = thread
            return True

    def join(self) -> None:
        """Wait for its end; it is not started again."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._thread.join()
