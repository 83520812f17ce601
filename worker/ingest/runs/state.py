"""The state of one run, from the moment its row is opened to the moment it is closed."""

from dataclasses import dataclass, field
from datetime import datetime

from worker.ingest.batch.contents import Counts
from worker.ingest.checking.page_cutter import PageCutter
from worker.ingest.runs.journal import Checkpoint
from worker.ingest.runs.options import Options
from worker.ingest.runs.phases import Phases
from worker.ingest.snapshots import delisting
from worker.sources.base import Source


@dataclass(slots=True)
class RunState:
    """The inputs of a run, and its counts so far.

    `checkpoint` is the position at which the run began. `reader` is the source that reads the
    pages, with recognition of records if the source supports it. Prices are compared with those of
    `reference_run`, if it is set. `is_read` is set once all pages are loaded, and `is_whole` if
    they are a whole snapshot. `changed_ids_since` is the start of a snapshot in which most ids
    changed.
    """

    source: Source
    options: Options
    command: str
    run_id: int
    checkpoint: Checkpoint
    cutter: PageCutter
    reader: Source
    reference_run: int | None
    counts: Counts = field(default_factory=Counts)
    phases: Phases = field(default_factory=Phases)
    is_read: bool = False
    is_whole: bool = False
    changed_ids_since: datetime | None = None

    @property
    def is_import(self) -> bool:
        return is_import(self.command)

    @property
    def shows_listed(self) -> bool:
        return shows_listed(self.source, self.command)


def is_import(command: str) -> bool:
    """Whether the run loads saved pages; then the cursor of the source does not move."""
    return command == "import"


def shows_listed(source: Source, command: str) -> bool:
    """Whether a run's pages show which listings the source still has."""
    return not is_import(command) and delisting.is_judged(source.name)
