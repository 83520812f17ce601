from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.batches import COINGECKO, COINPAPRIKA
from worker.fetch.budget import Usage
from worker.maintenance.status_queries import budget_sentence

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
NEXT = datetime(2026, 12, 1, tzinfo=UTC)
FRESH = Usage(
    source="coingecko",
    budget=10_000,
    used=0,
    instant=FIRST,
    renews_at=NEXT,
    last_at=None,
    next_request_at=None,
    requests_a_pass=69,
    requests_a_day=0,
    requests_a_second=None,
)


def test_an_interval_beyond_the_budget_is_reported_with_one_that_would_fit():
    said = FRESH.shortfall(300)

    assert said is not None
    assert said.startswith(
        "coingecko: 8640 passes a month at 69 requests each need 596160 requests, the budget is "
        "10000; RUN_INTERVAL_SECONDS=17885 would fit"
    )


def test_the_interval_that_would_fit_does_fit():
    assert FRESH.shortfall(17_885) is None
    assert FRESH.shortfall(17_700) is not None


def test_an_interval_that_fits_a_month_may_not_fit_what_is_left_of_this_one():
    late = replace(FRESH, used=9_900, instant=datetime(2026, 11, 21, tzinfo=UTC))

    assert late.shortfall(18_000) == (
        "coingecko: until 2026-12-01T00:00:00Z 48 passes need 3312 requests, 100 are left; "
        "RUN_INTERVAL_SECONDS=596160 would fit until then"
    )
    assert replace(late, used=9_999).shortfall(18_000) == (
        "coingecko: until 2026-12-01T00:00:00Z 48 passes need 3312 requests, 1 are left; "
        "no interval would fit until then"
    )


def test_at_the_end_of_a_month_a_spent_budget_is_no_shortfall_where_no_pass_is_due():
    last_hour = replace(FRESH, used=10_000, instant=datetime(2026, 11, 30, 23, tzinfo=UTC))

    assert last_hour.shortfall(18_000) is None


def test_at_the_current_rate_a_budget_runs_out_or_lasts():
    pace = replace(FRESH, used=9_000, requests_a_second=0.01)

    assert pace.runs_out_at == datetime(2026, 11, 2, 3, 46, 40, tzinfo=UTC)
    assert replace(pace, requests_a_second=0.0003).runs_out_at is None
    assert FRESH.runs_out_at is None


def test_a_spent_budget_ran_out_with_its_last_request():
    spent = replace(FRESH, used=10_000, last_at=datetime(2026, 11, 5, tzinfo=UTC))

    assert spent.runs_out_at == datetime(2026, 11, 5, tzinfo=UTC)
    assert replace(spent, used=10_001).left == 0


@pytest.mark.parametrize(
    ("source", "records", "requests"),
    [(COINGECKO, 0, 69), (COINGECKO, 499, 3), (COINGECKO, 500, 3), (COINPAPRIKA, 2500, 1)],
)
def test_a_source_estimates_the_requests_of_a_pass(source, records, requests):
    assert source.requests_a_pass(records) == requests


def test_the_next_request_is_said_as_a_time_while_the_rate_delays_it():
    said = "coingecko: 0 of 10000 requests of the month used; the rest lasts until 2026-12-01"
    delayed = replace(FRESH, next_request_at=FIRST + timedelta(seconds=12.5))

    assert budget_sentence(FRESH) == f"{said} at the current rate"
    assert budget_sentence(delayed) == (
        f"{said} at the current rate; the next request can be sent at 2026-11-01 00:00:12Z"
    )
    assert "next request" not in budget_sentence(replace(delayed, instant=NEXT))
