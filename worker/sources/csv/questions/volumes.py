"""Ask whether a column is the volume of 24 hours in US dollars.

A bare `Volume` may count coins. The volume of a candle is that of the candle's own duration.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median_low

from worker.sources.csv.cells.columns import Question, quoted_list, toml_line
from worker.sources.csv.cells.headers import (
    DOLLAR,
    VOLUME_HEADERS,
    currency_in_header,
    normalise_header,
)
from worker.sources.csv.cells.times import DAY_FIRST, MONTH_FIRST, TimeParser
from worker.sources.csv.first_rows import FirstRows

_FIELD = "volume_24h_usd"
_LEAST_OF_A_DAY = timedelta(hours=20)
"""Rows that are closer than this are less than a day apart, even if the clocks change."""
_CANDLE = frozenset({"open", "high", "low"})
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


def ask_about_volume(
    first: FirstRows, found: Mapping[str, str], date_format: str | None
) -> list[Question]:
    """Ask about an undeclared volume whose header or rows do not prove that it is of 24 hours."""
    if _FIELD in first.declared.get("columns", {}) or _FIELD in first.columns.choices:
        return []
    times = _times_by_coin(first, found, date_format)
    gap = _usual_gap(times)
    if header := found.get(_FIELD):
        is_candle = {normalise_header(each) for each in first.headers} >= _CANDLE
        is_of_candle = gap is not None and is_candle and "24h" not in normalise_header(header)
        return [_ignore([header], gap, first)] if is_of_candle else []
    volumes = [header for header in first.unread() if normalise_header(header) in VOLUME_HEADERS]
    in_dollars = [header for header in volumes if currency_in_header(header) == DOLLAR]
    if not volumes:
        return []
    if not in_dollars or gap is not None or (len(first.rows) > 1 and not times):
        return [_ignore(volumes, gap, first)]
    why = f"if this column is the volume of 24 hours; if not, write {first.ignore_line(*volumes)}"
    return [Question("columns", _FIELD, in_dollars[0], why)]


def _ignore(headers: Sequence[str], gap: timedelta | None, first: FirstRows) -> Question:
    """Suggest to ignore volumes that are not proven to be of 24 hours in dollars."""
    column = toml_line(_FIELD, headers[0], "columns")
    if gap is None:
        why = f"{quoted_list(headers)} may count coins"
    else:
        why = (
            f"rows are {_format_gap(gap)} apart, so {quoted_list(headers)} is probably not the "
            "volume of 24 hours"
        )
    why = f"{why}; if it is the volume of 24 hours in US dollars, write {column} instead"
    return Question(None, "ignore", [*first.ignored, *headers], why)


def _times_by_coin(
    first: FirstRows, found: Mapping[str, str], date_format: str | None
) -> list[Sequence[datetime]]:
    """Group the rows' times by coin.

    If the order of day and month is not known, either one shows whether rows are a day apart.
    """
    header = found.get("observed_at")
    if header is None:
        return []
    declared = TimeParser.from_declaration(first.declared)
    orders = [declared.date_format or date_format, DAY_FIRST, MONTH_FIRST]
    parsers = [replace(declared, date_format=each) for each in orders]
    identifying = [found[field] for field in ("id", "symbol", "name") if field in found]
    times: dict[tuple[str, ...], list[datetime]] = defaultdict(list)
    for row in first.rows:
        parser = next((each for each in parsers if each.can_parse(row[header])), None)
        if parser is not None:
            coin = tuple(row[each] for each in identifying)
            times[coin].append(parser.parse(row[header]))
    return list(times.values())


def _usual_gap(times: Sequence[Sequence[datetime]]) -> timedelta | None:
    """Return the median time between a coin's rows; None if unknown or about a day or more."""
    gaps = [abs(after - before) for each in times for before, after in pairwise(each)]
    gaps = [gap for gap in gaps if gap]
    usual = median_low(gaps) if gaps else None
    return usual if usual is not None and usual < _LEAST_OF_A_DAY else None


def _format_gap(gap: timedelta) -> str:
    for unit, name in ((_HOUR, "hour"), (_MINUTE, "minute")):
        if gap >= unit:
            count = round(gap / unit)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{gap.total_seconds():g} seconds"
