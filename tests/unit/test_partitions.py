from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.database.periods import (
    MONTHS_FROM,
    UNTIL,
    YEARS_FROM,
    period_of,
    periods_ahead,
    periods_of,
    span,
)

INSTANTS = st.datetimes(timezones=st.timezones())


@pytest.mark.parametrize(
    ("at", "suffix"),
    [
        ("0001-01-01T00:00:00+14:00", "before_2013"),
        ("2012-12-31T23:59:59.999999Z", "before_2013"),
        ("2013-01-01T00:00:00Z", "2013"),
        ("2025-12-31T23:59:59.999999Z", "2025"),
        ("2026-01-01T00:30:00+01:00", "2025"),
        ("2026-01-01T00:00:00Z", "2026_01"),
        ("2026-12-31T23:30:00Z", "2026_12"),
        ("2026-12-31T23:30:00-01:00", "2027_01"),
        ("2099-12-31T23:59:59Z", "2099_12"),
        ("2100-01-01T00:00:00Z", "from_2100"),
        ("9999-12-31T23:59:59-14:00", "from_2100"),
    ],
)
def test_an_instant_is_in_the_month_or_the_year_that_it_is_in_by_utc(at: str, suffix: str):
    period = period_of(datetime.fromisoformat(at))

    assert period.partition_of("raw_csv") == f"raw_csv_{suffix}"


@given(at=INSTANTS)
def test_a_period_holds_its_instants_and_ends_where_the_next_begins(at: datetime):
    period = period_of(at)

    assert period.start is None or period.start <= at
    assert period.end is None or at < period.end
    if period.end:
        assert period_of(period.end).start == period.end
        assert period_of(period.end - timedelta(microseconds=1)) == period


def test_there_are_no_more_periods_than_a_database_can_bear():
    every, at = set(), datetime(1, 1, 1, tzinfo=UTC)
    while (period := period_of(at)) not in every:
        every.add(period)
        at = period.end or at

    assert len(every) == 1 + (MONTHS_FROM - YEARS_FROM) + 12 * (UNTIL - MONTHS_FROM) + 1
    assert len({period.suffix for period in every}) == len(every)


@given(instants=st.lists(INSTANTS, max_size=5))
def test_the_span_of_periods_holds_every_instant(instants: list[datetime]):
    periods = periods_of(instants)

    bounds = span(periods)

    assert periods == {period_of(at) for at in instants}
    for at in instants:
        assert bounds["start"] == "-infinity" or bounds["start"] <= at
        assert bounds["end"] == "infinity" or at < bounds["end"]


def test_room_is_made_for_this_month_and_the_next():
    december = datetime(2026, 12, 31, 23, 59, tzinfo=timezone(timedelta(0)))

    assert {period.suffix for period in periods_ahead(december)} == {"2026_12", "2027_01"}
