"""Whether a column is the volume of 24 hours in US dollars, by its header and the rows' times.

A bare `Volume` may be counted in coins. That of a candle is the volume of the candle's own time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median_low

from worker.sources.csv.cells.columns import Question, listed, toml_line
from worker.sources.csv.cells.names import DOLLAR, VOLUMES, currency_of, plain
from worker.sources.csv.cells.times import DAY_FIRST, MONTH_FIRST, Clock
from worker.sources.csv.first_rows import FirstRows

_FIELD = "volume_24h_usd"
_LEAST_OF_A_DAY = timedelta(hours=20)
"""Rows closer than this are not a day apart, whatever the clocks of their zone do."""
_CANDLE = frozenset({"open", "high", "low"})
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


def ask_of_volume(
    first: FirstRows, found: Mapping[str, str], date_format: str | None
) -> list[Question]:
    """Ask what a volume is that does not say so. Who declares it has answered."""
    if _FIELD in first.declared.get("columns", {}) or _FIELD in first.columns.choices:
        return []
    times = _times_by_coin(first, found, date_format)
    gap = _usual_gap(times)
    if header := found.get(_FIELD):
        is_candle = {plain(each) for each in first.headers} >= _CANDLE
        is_of_candle = gap is not None and is_candle and "24h" not in plain(header)
        return [_ignore([header], gap, first)] if is_of_candle else []
    volumes = [header for header in first.unread() if plain(header) in VOLUMES]
    in_dollars = [header for header in volumes if currency_of(header) == DOLLAR]
    if not volumes:
        return []
    if not in_dollars or gap is not None or (len(first.rows) > 1 and not times):
        return [_ignore(volumes, gap, first)]
    why = f"if it is the volume of 24 hours; else {first.ignore_line(*volumes)}"
    return [Question("columns", _FIELD, in_dollars[0], why)]


def _ignore(headers: Sequence[str], gap: timedelta | None, first: FirstRows) -> Question:
    """Suggest to leave a volume out: nothing shows that it is that of 24 hours in dollars."""
    column = toml_line(_FIELD, headers[0], "columns")
    if gap is None:
        why = f"{listed(headers)} may count coins; if it is the volume of 24 hours in US dollars"
    else:
        why = (
            f"the rows are {_in_words(gap)} apart, so {listed(headers)} is hardly the volume of 24 "
            "hours; if it is, in US dollars"
        )
    return Question(None, "ignore", [*first.ignored, *headers], f"{why}, {column} instead")


def _times_by_coin(
    first: FirstRows, found: Mapping[str, str], date_format: str | None
) -> list[Sequence[datetime]]:
    """Read the rows' times, coin by coin; the order of day and month makes no great difference."""
    header = found.get("observed_at")
    if header is None:
        return []
    declared = Clock.from_declared(first.declared)
    orders = [declared.date_format or date_format, DAY_FIRST, MONTH_FIRST]
    clocks = [replace(declared, date_format=each) for each in orders]
    naming = [found[field] for field in ("id", "symbol", "name") if field in found]
    times: dict[tuple[str, ...], list[datetime]] = defaultdict(list)
    for row in first.rows:
        clock = next((each for each in clocks if each.can_read(row[header])), None)
        if clock is not None:
            times[tuple(row[each] for each in naming)].append(clock.read(row[header]))
    return list(times.values())


def _usual_gap(times: Sequence[Sequence[datetime]]) -> timedelta | None:
    """Measure the usual time between a coin's rows; None where it is a day or more, or unknown."""
    gaps = [abs(after - before) for each in times for before, after in pairwise(each)]
    gaps = [gap for gap in gaps if gap]
    usual = median_low(gaps) if gaps else None
    return usual if usual is not None and usual < _LEAST_OF_A_DAY else None


def _in_words(gap: timedelta) -> str:
    for unit, name in ((_HOUR, "hour"), (_MINUTE, "minute")):
        if gap >= unit:
            count = round(gap / unit)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{gap.total_seconds():g} seconds"
