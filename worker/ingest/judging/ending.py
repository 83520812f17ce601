"""How a run ended, and the facts from which that is decided."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: `reason` is a stable code, `error` a message for the operator.

    `brief` replaces an `error` in the log that contains text to copy.
    """

    outcome: str
    reason: str | None = None
    error: str | None = None
    brief: str | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The counts and findings of a run.

    `seen` also counts the records of pages that were answered with 304: they are unchanged.
    `snapshot` is the number of records of the whole snapshot, including interrupted runs before; it
    is None if the source has no snapshots. `dismissed` counts those of the `rejected` records that
    were dismissed before.

    Of the `prices_compared`, `prices_jumped` more than doubled or halved. `ids_replaced` counts new
    ids with the symbol and name of a known listing. `differing` describes records that contradict
    each other, `common_reason` the most frequent reason for rejects. `unreadable` counts records
    with an optional value that is not readable and therefore null.
    """

    seen: int
    new: int
    rejected: int
    snapshot: int | None
    prices_compared: int = 0
    prices_jumped: int = 0
    ids_replaced: int = 0
    revised: int = 0
    differing: str | None = None
    unreadable: int = 0
    common_reason: str | None = None
    dismissed: int = 0

    def after(self, before: "RunFacts") -> "RunFacts":
        """Add the counts of interrupted runs that this run continued.

        Their pages that were answered with 304 are included in the snapshot only.
        """
        return replace(
            self,
            seen=max(self.seen + before.seen, self.snapshot or 0),
            new=self.new + before.new,
            rejected=self.rejected + before.rejected,
            revised=self.revised + before.revised,
            unreadable=self.unreadable + before.unreadable,
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a source's earlier runs brought.

    `unchanged_for` is the time since a run last brought a normal number of new records. `listed` is
    the number of coins in the provider's own list when it was last read.
    """

    snapshot: int | None = None
    reject_shares: Sequence[Decimal] = ()
    unchanged_for: timedelta | None = None
    last_reason: str | None = None
    suspicion: str | None = None
    """The reason of its last judged run if it is `ids_changed` or `prices_shifted`: most ids or
    prices may be wrong."""
    listed: int | None = None
