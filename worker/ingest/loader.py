"""A thread that loads one batch at a time, so that the next is fetched and checked meanwhile."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context

from worker.ingest.batch.contents import Batch, Counts


class Loader:
    """Calls `load` for each batch, in order, and `loaded` with what each one counted."""

    def __init__(
        self, load: Callable[[Batch, int], Counts], loaded: Callable[[Counts], object]
    ) -> None:
        self._load = load
        self._loaded = loaded
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._in_flight: Future[Counts] | None = None
        self._settings = ExitStack()

    def __enter__(self) -> "Loader":
        self._settings.enter_context(set_for_loading())
        return self

    def load(self, batch: Batch, read: int) -> None:
        """Start loading a batch, once the one before it is committed.

        `read` is how many records of the run were read with it.
        """
        self._settle()
        # In the context of the run, for the log lines of the thread.
        self._in_flight = self._thread.submit(copy_context().run, self._load, batch, read)

    def _settle(self) -> None:
        if self._in_flight is None:
            return
        settled, self._in_flight = self._in_flight, None
        self._loaded(settled.result())

    def __exit__(self, *_: object) -> None:
        """Wait for the batch in flight; where it failed, that is what the run fails of."""
        try:
            self._settle()
        finally:
            self._thread.shutdown()
            self._settings.close()


INTERVAL = 0.0005
"""Seconds after which a thread lets another have the interpreter, while a batch is loaded.

Each statement of a batch ends with waiting for the interpreter, which checking the next batch keeps
busy; with Python's own 5 ms that is longer than most of the statements take.
"""

COLLECT_AFTER = 10_000
"""New objects after which garbage is collected, while a batch is loaded.

A page consists of more objects, and none of them is garbage. With Python's own 700, collecting
takes a twentieth of the time.
"""

_lock = threading.Lock()
_before: list[tuple[float, int]] = []


@contextmanager
def set_for_loading() -> Iterator[None]:
    """Set the interpreter for loading until the last of several `with` blocks ends."""
    with _lock:
        _before.append((sys.getswitchinterval(), gc.get_threshold()[0]))
        _set(INTERVAL, COLLECT_AFTER)
    try:
        yield
    finally:
        with _lock:
            # The first settings that were noted are Python's own.
            noted = _before.pop()
            if not _before:
                _set(*noted)


def _set(interval: float, collect_after: int) -> None:
    sys.setswitchinterval(interval)
    gc.set_threshold(collect_after, *gc.get_threshold()[1:])
