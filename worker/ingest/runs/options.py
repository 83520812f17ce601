"""The options of a run, and its result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from worker.ingest.batch.contents import Counts
from worker.ingest.faults import Faults
from worker.ingest.judging.ending import Ending
from worker.sources.base import Fetch
from worker.stopping import StopEvent

Progress = Callable[[int], None]
"""Called with the number of records that a run has committed so far, to show progress."""


class CountingFetch(Fetch, Protocol):
    """A fetch that counts requests, retries and seconds of waiting, for the row of the run."""

    requests: int
    retries: int
    waited: float


@dataclass(frozen=True, slots=True)
class Options:
    """Options that do not depend on the source."""

    batch_size: int = 1000
    faults: Faults = field(default_factory=Faults)
    stop: StopEvent = field(default_factory=StopEvent)
    progress: Progress = lambda fetched: None  # noqa: ARG005
    on_commit: Callable[[str, Counts, float], object] = lambda *_: None
    """Called after each commit with the source, the counts of the batch, and its seconds."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: the id of its row, its ending and its counts."""

    source: str
    run_id: int
    ending: Ending
    counts: Counts
    notes: Sequence[str] = ()
    """Messages for the operator: how files were read, unreadable values, revisions and renames."""

    @property
    def succeeded(self) -> bool:
        """Whether the run succeeded, or was stopped on request."""
        return self.ending.outcome == "succeeded" or self.ending.reason == "stopped"
