"""The marks of axes: round values up, times across."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from api.dashboard import numbers

STEPS = (1, 2, 5, 10)

MARKS_UP, MARKS_ACROSS = 5, 6
"""About how many marks an axis has."""

FORMATS = {"1d": "%Y-%m-%d", "1w": "%Y-%m-%d", "1mo": "%Y-%m"}
"""How the beginning of an interval is written; of a shorter one with its time."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of an axis."""

    at: Decimal
    label: str


def round_values(low: Decimal, high: Decimal) -> Sequence[Decimal]:
    """Return the multiples of 1, 2 or 5 times a power of ten that lie between two values."""
    span = high - low
    if not span:
        return [low]
    rough = span / MARKS_UP
    power = Decimal(1).scaleb(rough.adjusted())
    step = next(power * each for each in STEPS if power * each >= rough)
    first = (low / step).to_integral_value(ROUND_CEILING)
    return [(first + place) * step for place in range(int((high - first * step) // step) + 1)]


def label_price(value: Decimal, span: Decimal) -> str:
    """Write a price beside an axis: without cents where the axis spans many dollars."""
    if value and span >= MARKS_UP and value >= 1:
        return f"${value:,.0f}"
    return numbers.usd(value)


def label_time(at: datetime, interval: str) -> str:
    return at.strftime(FORMATS.get(interval, "%m-%d %H:%M"))


def places_of_times(count: int) -> range:
    """Return which of so many intervals have a mark."""
    return range(0, count, max(-(-count // MARKS_ACROSS), 1))
