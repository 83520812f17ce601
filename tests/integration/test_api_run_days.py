"""`/runs/days`: outcomes and lag by day, for each source."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import func, select

from shared.model.catalogue import SOURCES
from tests.fakes.api import add_run
from tests.fakes.document import check_answer

NONE = {"running": 0, "succeeded": 0, "partial": 0, "failed": 0}
HOUR, DAY = 3600, 86_400


@pytest.fixture
def midnight(conn):
    """The last midnight in UTC, by the server's clock."""
    today = conn.scalar(select(func.now())).astimezone(UTC).date()
    return datetime.combine(today, time(), UTC)


def run(conn, started, outcome="succeeded", source="coingecko", takes=timedelta(minutes=1), **more):
    finished = None if outcome == "running" else started + takes
    return add_run(conn, source, outcome, started_at=started, **{"finished_at": finished, **more})


def days_of(client, source="coingecko", **query):
    answer = client.get("/runs/days", query_string={"source": source, **query})
    assert answer.status_code == 200, answer.text
    [found] = answer.json["data"]
    assert found["source"] == source
    return found["days"]


def test_every_source_has_every_day_oldest_first(client, midnight):
    response = client.get("/runs/days")

    check_answer(client.get("/openapi.json").json, "/runs/days", response)
    assert [each["source"] for each in response.json["data"]] == list(SOURCES)
    for each in response.json["data"]:
        dates = [date.fromisoformat(day["date"]) for day in each["days"]]
        assert dates == [midnight.date() - timedelta(days=89 - n) for n in range(90)]
        assert all(day["runs"] == NONE for day in each["days"])
        assert all(day["max_lag_seconds"] is None for day in each["days"])


def test_runs_are_counted_by_outcome_on_the_day_on_which_they_started(client, conn, midnight):
    second = timedelta(seconds=1)
    run(conn, midnight - 2 * second, "failed")
    run(conn, midnight - second, takes=timedelta(hours=1))
    run(conn, midnight, "partial")
    run(conn, midnight, "running")
    run(conn, midnight, source="csv")
    run(conn, midnight - timedelta(days=2, seconds=1))

    before, yesterday, today = days_of(client, days=3)

    assert before["runs"] == NONE
    assert yesterday["runs"] == {**NONE, "failed": 1, "succeeded": 1}
    assert today["runs"] == {**NONE, "partial": 1, "running": 1}


def test_the_lag_of_a_day_is_the_greatest_since_the_last_success(client, conn, midnight):
    minute = timedelta(minutes=1)
    for hours in (-24 * 4 - 2, -24 * 3 + 6, -24 * 3 + 9, -24 + 12):
        run(conn, midnight + timedelta(hours=hours) - minute)
    run(conn, midnight - timedelta(hours=8), "failed")

    lags = [day["max_lag_seconds"] for day in days_of(client, days=6)]

    # The first success is 2 h before the end of its day; no run succeeds on the next day; then one
    # ends a gap of 32 h; and so on.
    assert lags[:-1] == [None, 2 * HOUR, 26 * HOUR, 32 * HOUR, 39 * HOUR, 51 * HOUR][1:]
    assert lags[-1] >= 12 * HOUR


def test_a_success_before_the_first_day_counts_for_the_lag(client, conn, midnight):
    run(conn, midnight - timedelta(days=400))
    run(conn, midnight - timedelta(days=10), takes=timedelta(0))

    [yesterday, today] = days_of(client, days=2)

    assert yesterday["max_lag_seconds"] == 10 * DAY
    assert today["max_lag_seconds"] >= 10 * DAY


def test_the_gap_before_a_run_across_the_first_midnight_counts(client, conn, midnight):
    first, minute = midnight - timedelta(days=1), timedelta(minutes=1)
    run(conn, first - timedelta(days=3), takes=timedelta(0))
    run(conn, first - minute, takes=2 * minute)

    [yesterday, _] = days_of(client, days=2)

    assert yesterday["max_lag_seconds"] == 3 * DAY + 60


def test_runs_of_one_command_are_counted_alone(client, conn, midnight):
    run(conn, midnight - timedelta(days=1), command="import")
    run(conn, midnight)

    yesterday, today = days_of(client, days=2, command="import")

    assert (yesterday["runs"]["succeeded"], today["runs"]["succeeded"]) == (1, 0)
    assert days_of(client, days=2, command="retry")[0]["max_lag_seconds"] is None
    assert sum(day["runs"]["succeeded"] for day in days_of(client, days=2)) == 2


@pytest.mark.parametrize("days", ["0", "367", "x"])
def test_a_number_of_days_that_cannot_be_shown_is_refused(client, days):
    refused = client.get(f"/runs/days?days={days}")

    assert refused.status_code == 400
    assert refused.json["errors"][0]["parameter"] == "days"
