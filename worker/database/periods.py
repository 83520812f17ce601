"""The periods by which large tables are partitioned, and the names of the partitions.

From `MONTHS_FROM` on a partition is a month. With a snapshot every few minutes it has 150 million
records, whose index stays small, and which are pruned by dropping one table. Earlier records come
from daily files: a year of them is smaller than a day of snapshots, so a partition is a year,
because each partition makes every query slower. Implausible times have one partition at either end.
The bounds are part of the schema: do not change these numbers once tables exist.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

YEARS_FROM = 2013
MONTHS_FROM = 2026
UNTIL = 2100

_FIRST = datetime(YEARS_FROM, 1, 1, tzinfo=UTC)
_LAST = datetime(UNTIL, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """The time range of one partition, [start, end); None means unbounded."""

    start: datetime | None
    end: datetime | None

    @property
    def suffix(self) -> str:
        """The end of the names of its partitions."""
        if self.start is None:
            return f"before_{YEARS_FROM}"
        if self.end is None:
            return f"from_{UNTIL}"
        if self.start.year < MONTHS_FROM:
            return f"{self.start:%Y}"
        return f"{self.start:%Y_%m}"

    def partition_of(self, table: str) -> str:
        """Return the name of a table's partition for this period."""
        return f"{table}_{self.suffix}"


def period_of(at: datetime) -> Period:
    """Return the period of an instant."""
    # Compare before the conversion, which fails for the first and last hours of `datetime`.
    if at < _FIRST:
        return Period(None, _FIRST)
    if at >= _LAST:
        return Period(_LAST, None)
    utc = at.astimezone(UTC)
    if utc.year < MONTHS_FROM:
        return Period(_month(utc.year, 1), _month(utc.year + 1, 1))
    years, month = divmod(utc.month, 12)
    return Period(_month(utc.year, utc.month), _month(utc.year + years, month + 1))


def period_named(suffix: str) -> Period:
    """Return the period of a suffix."""
    kind, _, number = suffix.partition("_")
    if kind == "before":
        return Period(None, _FIRST)
    if kind == "from":
        return Period(_LAST, None)
    return period_of(_month(int(kind), int(number or 1)))


def _month(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def periods_of(instants: Collection[datetime]) -> frozenset[Period]:
    """Return the periods of instants. Usually all instants are in the same one."""
    if not instants:
        return frozenset()
    earliest, latest = period_of(min(instants)), period_of(max(instants))
    if earliest == latest:
        return frozenset([earliest])
    return frozenset(map(period_of, instants))


def span(periods: Collection[Period]) -> dict[str, datetime | str]:
    """Return the start and end of all periods together, as parameters of a statement."""
    starts = [period.start for period in periods if period.start]
    ends = [period.end for period in periods if period.end]
    has_start = starts and len(starts) == len(periods)
    has_end = ends and len(ends) == len(periods)
    return {
        "start": min(starts) if has_start else "-infinity",
        "end": max(ends) if has_end else "infinity",
    }


def periods_ahead(now: datetime) -> frozenset[Period]:
    """Return the current period and the next one."""
    present = period_of(now)
    return frozenset([present, period_of(present.end) if present.end else present])
