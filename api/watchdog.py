"""A limit on how long a query is waited for, even when the server says nothing at all."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator


class Watchdog:
    """Shuts the socket of a query that outlasts `patience` seconds; the query then breaks off.

    Postgres ends slow statements by itself. This is for a server that cannot: one that was
    frozen, or whose host keeps the connection open and does nothing. Without it each of them would
    hold a thread for good, until none is left to answer.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._watched: dict[int, float] = {}
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @contextlib.contextmanager
    def watching(self, file: int) -> Iterator[None]:
        """Watch over a connection's socket during one `with` block."""
        with self._lock:
            self._watched[file] = time.monotonic() + self._patience
            if self._thread is None:  # started where it is needed: threads do not survive a fork
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._watched.pop(file, None)

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(min(self._patience / 2, 0.5)):
            with self._lock:
                now = time.monotonic()
                for file in [each for each, end in self._watched.items() if end < now]:
                    del self._watched[file]
                    _shut(file)


def _shut(file: int) -> None:
    """End both directions of a socket, so that whoever reads it reads its end."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(file)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
