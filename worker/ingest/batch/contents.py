"""The contents of one batch, and the counts of loaded records."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from shared.model.records import Cursor, FileReading, Reject
from worker.database.periods import Period
from worker.drift.shapes import Shape
from worker.ingest.snapshots.snapshot_pages import PagePart


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction loads: the checked records of a page, or of a part of it."""

    rows: bytes
    """The accepted records, encoded by `copy.stage`."""
    observed: int
    """How many records `rows` has."""
    rejects: Sequence[Reject]
    cursor: Cursor | None
    """The cursor of the source after this batch."""
    periods: Collection[Period] = ()
    """The periods of the accepted records; each has a partition."""
    moves_cursor: bool = True
    validators: Mapping[str, str | None] = field(default_factory=dict)
    """`ETag` by page; None for a page that is to be requested in full next time."""
    snapshot_progress: int = 0
    """Number of records read of the unfinished snapshot, including this batch."""
    shapes: Sequence[Shape] = ()
    retried: Sequence[int] = ()
    """Ids of rejects that were read again and passed; they are resolved."""
    refused_again: Mapping[int, Reject] = field(default_factory=dict)
    """Rejects that were read again and refused again, by id. They do not count as fetched."""
    reference_run: int | None = None
    """The run whose prices this batch is compared with; None for those of the listings."""
    file: FileReading | None = None
    """The file that the records come from."""
    begins_snapshot: bool = False
    page_part: PagePart | None = None
    """The ids on this part of a snapshot's page; None in the batch that begins the snapshot."""
    unreadable: int = 0
    """Records with a value that could not be read and is null."""
    reads_anew: bool = False
    """Whether the files of the source are read from their start."""
    recognised: int = 0
    """Further records, which are equal to the newest of their listings and not in `rows`."""

    @property
    def fetched(self) -> int:
        return self.observed + self.recognised + len(self.rejects)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of records; `fetched` is the sum of `new`, `unchanged` and `rejected`."""

    fetched: int = 0
    new: int = 0
    unchanged: int = 0
    rejected: int = 0
    revised: int = 0
    """Records that replace another of the same instant, new or received again."""
    revision: str | None = None
    """A description of one of the `revised`, from an import."""
    dismissed: int = 0
    """Those of the `rejected` whose payload a person dismissed before."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.fetched + other.fetched,
            self.new + other.new,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
            self.revised + other.revised,
            self.revision or other.revision,
            self.dismissed + other.dismissed,
        )
