"""How the large tables are cut by time: which partition holds an instant, and what it is called.

Months hold what comes every few minutes: 150 million records, which are written to one small index
and forgotten at one stroke. Before `MONTHS_FROM` there are daily files alone, of which a whole year
is smaller than a day of snapshots; each partition more costs every query a look at it, hence years.
Absurd times have one partition at either end. Borders are part of the data: once there are tables,
these numbers stay.
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
    """What one partition holds: [start, end); without a start or an end, all before or after."""

    start: datetime | None
    end: datetime | None

    @property
    def suffix(self) -> str:
        """What the names of its partitions end with."""
        if self.start is None:
            return f"before_{YEARS_FROM}"
        if self.end is None:
            return f"from_{UNTIL}"
        if self.start.year < MONTHS_FROM:
            return f"{self.start:%Y}"
        return f"{self.start:%Y_%m}"

    def of(self, table: str) -> str:
        """Name this period's partition of a table."""
        return f"{table}_{self.suffix}"


def period_of(at: datetime) -> Period:
    """Say which period an instant is in."""
    # Compared before it is converted: the first and last hours of all time have no place in UTC.
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
    """Say which period it is that partitions' names end with."""
    kind, _, number = suffix.partition("_")
    if kind == "before":
        return Period(None, _FIRST)
    if kind == "from":
        return Period(_LAST, None)
    return period_of(_month(int(kind), int(number or 1)))


def _month(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def periods_of(instants: Collection[datetime]) -> frozenset[Period]:
    """Say which periods instants are in; nearly always they are all in one."""
    if not instants:
        return frozenset()
    earliest, latest = period_of(min(instants)), period_of(max(instants))
    if earliest == latest:
        return frozenset([earliest])
    return frozenset(map(period_of, instants))


def span(periods: Collection[Period]) -> dict[str, datetime | str]:
    """Say from when and until when periods reach, for a statement that looks at no others."""
    starts = [period.start for period in periods if period.start]
    ends = [period.end for period in periods if period.end]
    bounded_before = starts and len(starts) == len(periods)
    bounded_after = ends and len(ends) == len(periods)
    return {
        "start": min(starts) if bounded_before else "-infinity",
        "end": max(ends) if bounded_after else "infinity",
    }


def periods_ahead(now: datetime) -> frozenset[Period]:
    """Say which periods records of this month and of the next are in."""
    present = period_of(now)
    return frozenset([present, period_of(present.end) if present.end else present])
