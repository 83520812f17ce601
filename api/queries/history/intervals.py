"""The intervals of candles, and their starts in UTC."""

from datetime import UTC, datetime, timedelta

WIDTHS = {
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}
MONTH = "1mo"
INTERVALS = (*WIDTHS, MONTH)

A_MONDAY = datetime(2001, 1, 1, tzinfo=UTC)
"""The origin from which weeks, days, hours and minutes are counted."""


def floor(interval: str, at: datetime) -> datetime:
    """Return the start of the candle that contains a time."""
    return _start(interval, _number(interval, at))


def ceiling(interval: str, at: datetime) -> datetime:
    """Return the first start of a candle at a time or later."""
    start = floor(interval, at)
    return start if start == at else shifted(interval, start, 1)


def shifted(interval: str, start: datetime, candles: int) -> datetime:
    """Return the start of a candle, shifted by a number of candles.

    Raises:
        OverflowError, ValueError: the result exceeds the calendar.
    """
    return _start(interval, _number(interval, start) + candles)


def between(interval: str, start: datetime, end: datetime) -> int:
    """Count the candles from one start to another."""
    return _number(interval, end) - _number(interval, start)


def starts(interval: str, start: datetime, candles: int) -> list[datetime]:
    """Return the starts of this number of candles, from `start` on."""
    first = _number(interval, start)
    return [_start(interval, number) for number in range(first, first + candles)]


def _number(interval: str, at: datetime) -> int:
    if interval == MONTH:
        return at.year * 12 + at.month - 1
    return (at - A_MONDAY) // WIDTHS[interval]


def _start(interval: str, number: int) -> datetime:
    if interval == MONTH:
        return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return A_MONDAY + number * WIDTHS[interval]
