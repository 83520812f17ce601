"""The thread that loads batches while the next is fetched."""

import gc
import sys
from collections.abc import Mapping

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from worker.ingest.batch.contents import Batch, Counts
from worker.ingest.loader import COLLECT_AFTER, SWITCH_INTERVAL, Loader


def test_the_thread_logs_with_the_source_and_run_that_it_loads_for():
    bound: list[Mapping[str, object]] = []

    def load(batch: Batch, read: int) -> Counts:
        bound.append(get_contextvars())
        return Counts(batch.fetched, read)

    loaded: list[Counts] = []
    with bound_contextvars(source="desk", run_id=7), Loader(load, loaded.append) as loader:
        loader.load(Batch(b"", 3, [], None), 3)

    assert bound == [{"source": "desk", "run_id": 7}]
    assert loaded == [Counts(3, 3)]


def load_nothing(batch: Batch, read: int) -> Counts:
    raise AssertionError(batch, read)


def test_the_interpreter_is_set_for_loading_until_the_last_loader_ends():
    before = sys.getswitchinterval(), gc.get_threshold()

    with Loader(load_nothing, print), Loader(load_nothing, print):
        during = sys.getswitchinterval(), gc.get_threshold()

    assert during == (pytest.approx(SWITCH_INTERVAL), (COLLECT_AFTER, *before[1][1:]))
    assert (sys.getswitchinterval(), gc.get_threshold()) == before
