"""A thread that loads batches one at a time while the next one is fetched and checked."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context

from worker.ingest.batch.contents import Batch, Counts


class Loader:
    """Calls `load` for each batch, in order, and `on_loaded` with the counts of each."""

    def __init__(
        self, load: Callable[[Batch, int], Counts], on_loaded: Callable[[Counts], object]
    ) -> None:
        self._load = load
        self._on_loaded = on_loaded
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._in_flight: Future[Counts] | None = None
        self._settings = ExitStack()

    def __enter__(self) -> "Loader":
        self._settings.enter_context(set_for_loading())
        return self

    def load(self, batch: Batch, records_read: int) -> None:
        """Wait until the previous batch is committed, then start loading this one.

        `records_read` counts the records that the run has read, including those of this batch.
        """
        self._wait()
        # The thread runs in the context of the run, so its log lines have the fields of the run.
        self._in_flight = self._thread.submit(copy_context().run, self._load, batch, records_read)

    def _wait(self) -> None:
        if self._in_flight is None:
            return
        batch_in_flight, self._in_flight = self._in_flight, None
        self._on_loaded(batch_in_flight.result())

    def __exit__(self, *_: object) -> None:
        """Wait for the current batch, and raise its error, if any."""
        try:
            self._wait()
        finally:
            self._thread.shutdown()
            self._settings.close()


SWITCH_INTERVAL = 0.0005
"""Seconds after which threads switch while a batch is loaded.

After each statement, the loading thread waits for the interpreter, which the thread that checks the
next batch uses. With Python's default of 5 ms, this wait is longer than most statements take.
"""

COLLECT_AFTER = 10_000
"""Number of new objects after which garbage is collected while a batch is loaded.

A page consists of more objects, and none of them is garbage. With Python's default of 700, garbage
collection takes 5 % of the time.
"""

_lock = threading.Lock()
_before: list[tuple[float, int]] = []


@contextmanager
def set_for_loading() -> Iterator[None]:
    """Configure the interpreter for loading until the last of several `with` blocks ends."""
    with _lock:
        _before.append((sys.getswitchinterval(), gc.get_threshold()[0]))
        _set(SWITCH_INTERVAL, COLLECT_AFTER)
    try:
        yield
    finally:
        with _lock:
            # The first entry has Python's own settings, and it is removed last.
            settings = _before.pop()
            if not _before:
                _set(*settings)


def _set(interval: float, collect_after: int) -> None:
    sys.setswitchinterval(interval)
    gc.set_threshold(collect_after, *gc.get_threshold()[1:])
