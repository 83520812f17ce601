"""Where candles begin."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.queries.history.intervals import INTERVALS, between, ceiling, floor, shifted, starts

TIMES = st.integers(631_152_000, 3_786_912_000).map(  # 1990 to 2090
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("interval", "start"),
    [
        ("5m", "2024-02-29T13:55"),
        ("15m", "2024-02-29T13:45"),
        ("1h", "2024-02-29T13:00"),
        ("4h", "2024-02-29T12:00"),
        ("1d", "2024-02-29"),
        ("1w", "2024-02-26"),  # a Monday
        ("1mo", "2024-02-01"),
    ],
)
def test_a_time_lies_in_the_candle_that_begins_last(interval, start):
    assert floor(interval, at("2024-02-29T13:58:59.999999")) == at(start)
    assert floor(interval, at(start)) == at(start)
    assert floor(interval, at(start) - timedelta(microseconds=1)) < at(start)


@given(st.sampled_from(INTERVALS), TIMES, st.integers(0, 50))
def test_candles_lie_side_by_side(interval, time, candles):
    start = floor(interval, time)
    begins = starts(interval, start, candles + 1)

    assert start <= time < shifted(interval, start, 1)
    assert begins == sorted({*begins})
    assert [floor(interval, each) for each in begins] == begins
    assert all(ceiling(interval, a + timedelta(microseconds=1)) == b for a, b in pairwise(begins))
    assert shifted(interval, start, candles) == begins[-1]
    assert between(interval, start, begins[-1]) == candles
    assert ceiling(interval, start) == start


def test_the_calendar_ends():
    with pytest.raises((OverflowError, ValueError)):
        shifted("1mo", at("9999-12-01"), 1)
    with pytest.raises((OverflowError, ValueError)):
        shifted("5m", at("9999-12-31T23:55"), 1)
