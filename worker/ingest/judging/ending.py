"""How a run ended, and the facts by which that is judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended. `reason` is a stable code, `error` a sentence for a person.

    `brief` is what the log has instead of an `error` that holds text to copy.
    """

    outcome: str
    reason: str | None = None
    error: str | None = None
    brief: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a run brought: its records, of them the refused and the new ones, and the snapshot's.

    `seen` counts the records of pages that were answered 304 too: those are known, and unchanged.
    `prices_jumped` of the `prices_compared` are more than twice, or less than half, what they were;
    `ids_replaced` are new ids under the symbol and name of a known listing.
    `snapshot` is how many records the whole snapshot has, runs that were cut off before included;
    None where the source sends none. `dismissed` of the refused ones a person has dismissed before.
    `differing` says which of the records contradict each other,
    `common_reason` why most of the refused ones were; `unreadable` counts those with an optional
    value that is not readable, and null for that.
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

    def after(self, before: "Found") -> "Found":
        """Add what runs brought that broke off, and that this one went on from.

        Their pages that were answered 304 are in the snapshot alone.
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
class Normal:
    """What the source gave before. `unchanged_for`: since when it brought next to nothing new.

    `listed` is how many coins the provider's own list had when it was last read.
    """

    snapshot: int | None = None
    reject_shares: Sequence[Decimal] = ()
    unchanged_for: timedelta | None = None
    last_reason: str | None = None
    mistake: str | None = None
    """What its last run was found to have wrong of most records: ids or prices."""
    listed: int | None = None
