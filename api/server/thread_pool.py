"""A pool of threads in which clients take turns, and no client has all of the threads."""

import threading
from collections import deque
from collections.abc import Callable

Work = Callable[[], None]

MOST_WAITING = 256
"""How many requests of one client wait for a thread; a further one is refused."""


class Turns:
    """Runs work in a fixed number of threads, for one client after the other.

    At most `share` of the threads work for one client; its further work waits, and other clients'
    work passes it. The work itself must not raise.
    """

    def __init__(self, threads: int, share: int, name: str) -> None:
        self._share = share
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Work]] = {}
        self._running: dict[str, int] = {}
        self._closed = False
        # All at the start: a thread that cannot start later would be missing unnoticed.
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def submit(self, client: str, work: Work) -> bool:
        """Have work done; return False where too much of this client's waits already."""
        with self._changed:
            waiting = self._waiting.setdefault(client, deque())
            if len(waiting) >= MOST_WAITING:
                return False
            waiting.append(work)
            self._changed.notify()
        return True

    def shutdown(self, *, wait: bool = False) -> None:  # noqa: ARG002  as gunicorn calls it
        """End the threads that have nothing to do, and the others after their work."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        client = None
        while True:
            with self._changed:
                if client is not None:
                    self._end(client)
                while (taken := self._take()) is None:
                    if self._closed:
                        return
                    self._changed.wait()
            client, work = taken
            work()

    def _take(self) -> tuple[str, Work] | None:
        """Take the work whose turn it is; its client goes to the end of the line."""
        for client, waiting in self._waiting.items():
            running = self._running.get(client, 0)
            if running < self._share:
                work = waiting.popleft()
                del self._waiting[client]
                if waiting:
                    self._waiting[client] = waiting
                self._running[client] = running + 1
                return client, work
        return None

    def _end(self, client: str) -> None:
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
