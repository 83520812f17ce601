"""What is normal for a source: runs and `/health` are judged by it."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

MISSED_PASSES = 3
"""The number of passes of the loop that a source may miss before its data is late."""

LONG_OVERDUE = 4
"""Data that is this many times as old as it may be is a failure, not a warning."""

AGAIN_AFTER = timedelta(hours=1)
"""A source with `read_every` is not read again within this time after an unsuccessful run."""


@dataclass(frozen=True, slots=True)
class Delisting:
    """When a listing is delisted: the last `snapshots` whole snapshots do not contain it.

    The first of them is at least `within` older than the last.
    """

    snapshots: int
    within: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What is normal for one source. None: that is not judged."""

    fresh_for: timedelta | None
    """How old the newest data may become, by our clock and by the source's."""
    min_snapshot_share: Decimal | None
    """A snapshot with a smaller share of the records that are expected is `partial`."""
    max_reject_share: Decimal
    """A run with a larger share of rejects is `failed`."""
    max_reject_rise: Decimal | None
    """A run whose share of rejects is above its recent runs' by more is `partial`."""
    max_unchanged_for: timedelta | None
    """A source that brought (nearly) nothing new for longer is frozen: `partial`."""
    min_new_share: Decimal = Decimal("0.01")
    """A run with a smaller share of new records brought nearly nothing new."""
    max_jumped_share: Decimal | None = None
    """A run in which a larger share of prices jumped is `partial`. None: that is not judged."""
    listed_by: str | None = None
    """The source whose list names all coins that this one has values of."""
    min_listed_share: Decimal = Decimal("0.75")
    """A snapshot with a smaller share of the coins on that list is `partial`."""
    read_every: timedelta | None = None
    """The loop leaves out a source whose last successful run is younger. None: it never does."""
    delisted: Delisting | None = None
    """None: no snapshot tells that a listing is gone."""

    def target(self, pass_length: timedelta) -> timedelta:
        """Return the maximum age of the last successful run, for passes of this length."""
        seldom = 2 * (self.read_every or timedelta(0))
        return max(self.fresh_for or timedelta(0), MISSED_PASSES * pass_length, seldom)

    def dump(self) -> dict[str, Any]:
        """Show them in plain numbers: seconds and shares."""
        return {
            "fresh_for_seconds": _seconds(self.fresh_for),
            "min_snapshot_share": self.min_snapshot_share,
            "max_reject_share": self.max_reject_share,
            "max_reject_rise": self.max_reject_rise,
            "max_unchanged_seconds": _seconds(self.max_unchanged_for),
            "min_new_share": self.min_new_share,
            "max_jumped_share": self.max_jumped_share,
            "read_every_seconds": _seconds(self.read_every),
            "delisted_after_snapshots": self.delisted and self.delisted.snapshots,
            "delisted_after_seconds": _seconds(self.delisted.within if self.delisted else None),
        }


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())
