"""How a run is done, and what it returns."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from worker.ingest.batch.contents import Counts
from worker.ingest.faults import Faults
from worker.ingest.judging.ending import Ending
from worker.sources.base import Fetch

Progress = Callable[[int], None]
"""Told how many records a run has committed so far; a progress bar is one."""


class CountingFetch(Fetch, Protocol):
    """A fetch that counts what it did for the run's row."""

    requests: int
    retries: int
    waited: float


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done, the same for every source."""

    batch_size: int = 1000
    faults: Faults = field(default_factory=Faults)
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress = lambda fetched: None  # noqa: ARG005
    loaded: Callable[[str, Counts, float], object] = lambda *_: None
    """Told of each batch that is committed: its source, its counts, the seconds that it took."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: its row's id, how it ended and what it counted."""

    source: str
    run_id: int
    ending: Ending
    counts: Counts
    notes: Sequence[str] = ()
    """How its files were read, what of their rows was not, what they revised and renamed."""

    @property
    def succeeded(self) -> bool:
        """Whether nothing went wrong; a run that was asked to stop did nothing wrong."""
        return self.ending.outcome == "succeeded" or self.ending.reason == "stopped"
