"""Ask when the candles of a file close.

The close of a candle is known at its end. Under the time of the open it would be a price from the
future.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import pairwise
from statistics import median_low

from worker.sources.csv.cells.candles import OPEN, candle_part, has_candles, names_close
from worker.sources.csv.cells.columns import Question
from worker.sources.csv.cells.times import DAY_FIRST, MONTH_FIRST, TimeParser, format_length
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.suggestions import are_times

_LAST_SECOND = 59
_LAST_MINUTE = time(23, 59)
_FEWEST_ENDS = 2
_MONTH = "31d"
_SHORTEST_MONTH = timedelta(days=28)
_LONGEST_MONTH = timedelta(days=31)

LEAST_OF_A_DAY = timedelta(hours=20)
"""Rows that are closer than this are less than a day apart, even if the clocks change."""


def suggest_close_time(questions: Sequence[Question], first: FirstRows) -> list[Question]:
    """Suggest the column with the time of the close if another time is read or suggested."""
    suggested = next((each.value for each in questions if _is_about_time_column(each)), None)
    chosen = suggested or first.columns.headers.get("observed_at")
    if not chosen or not _is_close_unproven(first) or _holds_close(chosen, first):
        return []
    for header in first.unread():
        cells = first.cells(header)
        if names_close(header) and are_times(header, cells):
            why = (
                f"the time at which a candle closes: it has {cells[0][:80]!r}, and {chosen!r} has "
                f"{first.rows[0][chosen][:80]!r}"
            )
            return [Question("columns", "observed_at", header, why)]
    return []


def ask_close_after(
    first: FirstRows, found: Mapping[str, str], date_format: str | None
) -> list[Question]:
    """Ask how long after the time of a row its candle closes, unless the times prove it."""
    header = found.get("observed_at")
    if header is None or not _is_close_unproven(first):
        return []
    if _holds_close(header, first):
        return _ask_about_end_date(header, first, date_format)
    times = times_by_coin(first, found, date_format)
    gap = usual_gap(times)
    if _are_ends(times, gap, first):
        return []
    length = _MONTH if gap and _is_month(gap) else format_length(gap) if gap else None
    if length is None:
        shown, reason = 'a length such as "1h"', ""
    else:
        shown = f'"{length}"'
        apart = "about a month" if length == _MONTH else "that far"
        reason = f", because rows are {apart} apart"
    why = (
        f"{shown} if {header!r} is the time at which a candle opens{reason}; "
        '"0" if it is the time of the close, or of the price'
    )
    return [Question(None, "close_after", "", why)]


def _ask_about_end_date(header: str, first: FirstRows, date_format: str | None) -> list[Question]:
    """Ask whether a candle includes the day that a column of dates names as its end."""
    parser = TimeParser.from_declaration(first.declared)
    parser = replace(parser, date_format=parser.date_format or date_format)
    if "time_of_day" in first.declared or not any(map(parser.is_date, first.cells(header))):
        return []
    why = (
        f'"23:59:59" if the day under {header!r} belongs to the candle; "00:00:00" if the candle '
        "ends when that day begins"
    )
    return [Question(None, "time_of_day", "", why)]


def _is_month(gap: timedelta) -> bool:
    return _SHORTEST_MONTH <= gap <= _LONGEST_MONTH


def _is_about_time_column(question: Question) -> bool:
    return (question.table, question.key) == ("columns", "observed_at")


def _is_close_unproven(first: FirstRows) -> bool:
    """Whether the file has candles whose close is read, and does not declare when they close."""
    price = first.columns.headers.get("price_usd")
    is_open_price = price is not None and candle_part(price) == OPEN
    return "close_after" not in first.declared and has_candles(first.headers) and not is_open_price


def _holds_close(header: str, first: FirstRows) -> bool:
    """Whether a column of times names the close, or has the same cells as one that does.

    A column without cells is not asked about: later rows may prove that it has the close.
    """
    cells = first.cells(header)
    return any(names_close(each) and first.cells(each) == cells for each in first.headers)


def _are_ends(times: Sequence[Sequence[datetime]], gap: timedelta | None, first: FirstRows) -> bool:
    """Whether the times prove that they are those of closes.

    They do if each is the declared end of a day. Without such a declaration one row proves nothing:
    each of several must be the last second of a minute, or 23:59 in rows a day or more apart.
    """
    declared = TimeParser.from_declaration(first.declared)
    moments = [each.astimezone(declared.zone).time() for group in times for each in group]
    if declared.time_of_day >= _LAST_MINUTE and set(moments) == {declared.time_of_day}:
        return True
    if len(moments) < _FEWEST_ENDS:
        return False
    is_daily = gap is not None and gap >= LEAST_OF_A_DAY
    return all(
        each.second == _LAST_SECOND or (is_daily and each >= _LAST_MINUTE) for each in moments
    )


def times_by_coin(
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


def usual_gap(times: Sequence[Sequence[datetime]]) -> timedelta | None:
    """Return the median time between a coin's rows; None if unknown."""
    gaps = [abs(after - before) for each in times for before, after in pairwise(each)]
    gaps = [gap for gap in gaps if gap]
    return median_low(gaps) if gaps else None
