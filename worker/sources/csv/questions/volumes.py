"""Ask whether a column is the volume of 24 hours in US dollars.

A bare `Volume` may count coins. The volume of a candle is that of the candle's own duration.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from worker.sources.csv.cells.candles import has_candles
from worker.sources.csv.cells.columns import Question, quoted_list, toml_line
from worker.sources.csv.cells.headers import (
    DOLLAR,
    VOLUME_HEADERS,
    currency_in_header,
    normalise_header,
)
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.candles import LEAST_OF_A_DAY, times_by_coin, usual_gap

_FIELD = "volume_24h_usd"
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


def ask_about_volume(
    first: FirstRows, found: Mapping[str, str], date_format: str | None
) -> list[Question]:
    """Ask about an undeclared volume whose header or rows do not prove that it is of 24 hours."""
    if _FIELD in first.declared.get("columns", {}) or _FIELD in first.columns.choices:
        return []
    times = times_by_coin(first, found, date_format)
    gap = _less_than_a_day(usual_gap(times))
    if header := found.get(_FIELD):
        is_candle = gap is not None and has_candles(first.headers)
        is_of_candle = is_candle and "24h" not in normalise_header(header)
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


def _less_than_a_day(gap: timedelta | None) -> timedelta | None:
    return gap if gap is not None and gap < LEAST_OF_A_DAY else None


def _format_gap(gap: timedelta) -> str:
    for unit, name in ((_HOUR, "hour"), (_MINUTE, "minute")):
        if gap >= unit:
            count = round(gap / unit)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{gap.total_seconds():g} seconds"
