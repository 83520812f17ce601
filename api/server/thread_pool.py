"""A thread pool that serves clients in turn, and limits the threads of each client."""

import threading
from collections import deque
from collections.abc import Callable

Work = Callable[[], None]

MAX_WAITING = 256
"""Waiting requests of one client. Further ones are refused."""


class FairThreadPool:
    """Runs work in a fixed number of threads, one client after the other.

    At most `client_threads` threads run the work of one client. Its other work waits, and the work
    of other clients overtakes it. Work must not raise.
    """

    def __init__(self, threads: int, client_threads: int, name: str) -> None:
        self._client_threads = client_threads
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Work]] = {}
        self._running: dict[str, int] = {}
        self._closed = False
        # All threads start now: a later failure to start one would not be noticed.
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def submit(self, client: str, work: Work) -> bool:
        """Queue work; return False if too much work of this client is waiting."""
        with self._changed:
            waiting = self._waiting.setdefault(client, deque())
            if len(waiting) >= MAX_WAITING:
                return False
            waiting.append(work)
            self._changed.notify()
        return True

    def shutdown(self, *, wait: bool = False) -> None:  # noqa: ARG002  as gunicorn calls it
        """End idle threads now, and the others after all waiting work is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        client = None
        while True:
            with self._changed:
                if client is not None:
                    self._finish(client)
                while (scheduled := self._next()) is None:
                    if self._closed:
                        return
                    self._changed.wait()
            client, work = scheduled
            work()

    def _next(self) -> tuple[str, Work] | None:
        """Remove and return the next work. Its client moves to the end of the queue."""
        for client, waiting in self._waiting.items():
            running = self._running.get(client, 0)
            if running < self._client_threads:
                work = waiting.popleft()
                del self._waiting[client]
                if waiting:
                    self._waiting[client] = waiting
                self._running[client] = running + 1
                return client, work
        return None

    def _finish(self, client: str) -> None:
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
