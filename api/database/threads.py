"""Background threads on systems that may refuse to start one."""

import logging
import threading
import time
from collections.abc import Callable

Start = Callable[[threading.Thread], None]

PAUSE_SECONDS = 1.0
"""Pause after a failed start."""

log = logging.getLogger(__name__)


class BackgroundThread:
    """A thread that starts with its first use, because threads do not survive a fork.

    If it could not start, or ended with an error, a later use starts it again.
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
        """Start the thread if it is not running; return whether it is running now."""
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
            except RuntimeError as exc:  # the limit of processes or of memory is reached
                self._resume_at = time.monotonic() + PAUSE_SECONDS
                reason = {"purpose": self._name, "reason": str(exc)}
                log.error("a thread could not be started", extra=reason)  # noqa: TRY400
                return False
            self._thread = thread
            return True

    def join(self) -> None:
        """Wait for the end of the thread, and do not start it again."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._thread.join()
