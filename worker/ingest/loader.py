"""A thread that loads one batch at a time, so that the next is fetched and checked meanwhile."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context

from worker.ingest.batch.transaction import Batch, Counts
from worker.ingest.switching import switching_often


class Loader:
    """Calls `load` for each batch, in order, and `loaded` with what each one counted."""

    def __init__(
        self, load: Callable[[Batch, int], Counts], loaded: Callable[[Counts], object]
    ) -> None:
        self._load = load
        self._loaded = loaded
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._in_flight: Future[Counts] | None = None
        self._switching = ExitStack()

    def __enter__(self) -> "Loader":
        self._switching.enter_context(switching_often())
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
            self._switching.close()
