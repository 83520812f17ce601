"""`/stats`: when each source is read next, and how much of its provider's budget is used."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, text

from shared.model.catalogue import SOURCES
from shared.schema.operations import request_budgets
from tests.fakes.api import add_checkpoint, add_run, api_on
from tests.fakes.document import check_answer
from tests.fakes.plans import read_by_statement
from worker.ingest.runs.due import read_due

API_SETTINGS = {"RUN_INTERVAL_SECONDS": "600", "COINGECKO_REQUESTS_PER_MONTH": "777"}
TURN = timedelta(minutes=10)


@pytest.fixture
def now(conn):
    return conn.scalar(select(func.now())).astimezone(UTC)


def stats(client, source):
    [found] = [
        each for each in client.get("/stats").json["data"]["sources"] if each["source"] == source
    ]
    return found


def next_run(client, source="coingecko"):
    at = stats(client, source)["next_run_at"]
    return at and datetime.fromisoformat(at)


def run(conn, started, source="coingecko", outcome="succeeded", **more):
    finished = None if outcome == "running" else started
    return add_run(conn, source, outcome, started_at=started, finished_at=finished, **more)


def add_budget(conn, source="coingecko", **columns):
    month = func.date_trunc("month", func.timezone("UTC", func.now()))
    row = {"source": source, "month": month, "next_request_at": func.now(), **columns}
    conn.execute(insert(request_budgets).values(row))


MANY_RUNS = text("""
INSERT INTO runs (source, command, outcome, host, pid, started_at, finished_at)
SELECT CASE WHEN n < 5000 THEN 'csv' ELSE 'coinpaprika' END, 'run',
       CASE WHEN n < 5000 THEN 'failed' ELSE 'succeeded' END, 'h', 1, at, at
FROM generate_series(1, 40000) AS n
CROSS JOIN LATERAL (SELECT now() - n * interval '5 minutes' AS at) AS t
""")


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/stats", "usually_takes"),
        ("/runs/days?days=1", "greatest_lag"),
        ("/stats", "recent_runs"),
        ("/health", "last_bad"),
    ],
)
def test_what_is_read_does_not_grow_with_the_number_of_runs(client, conn, engine, path, word):
    """Sources that never ran, never succeeded and never failed are looked up too."""
    conn.execute(MANY_RUNS)
    conn.execute(text("ANALYZE runs"))

    read = read_by_statement(engine, client, path, {}, ["runs"])

    [(rows, pages)] = [count for sql, count in read.items() if word in sql]
    assert 0 < rows < 1000, rows
    assert pages < 500, pages


def test_a_source_runs_next_a_turn_after_its_last_run(client, conn, now):
    run(conn, now - timedelta(minutes=4))
    run(conn, now - timedelta(minutes=3), command="import")

    assert next_run(client) == now + timedelta(minutes=6)


def test_a_turn_is_the_interval_and_what_the_runs_usually_take(client, conn, now):
    started = now - timedelta(minutes=5)
    add_run(conn, started_at=started, finished_at=started + timedelta(minutes=2))
    add_run(conn, "csv", started_at=started, finished_at=started + timedelta(minutes=1))

    assert next_run(client) == started + TURN + timedelta(minutes=3)


def test_a_source_that_is_overdue_or_never_ran_is_next_at_once(client, conn, now):
    run(conn, now - timedelta(minutes=25))

    for source in ("coingecko", "coinpaprika"):
        assert now <= next_run(client, source) < now + timedelta(minutes=5)


def test_without_a_loop_there_is_no_next_run(client, conn, now):
    assert next_run(client) is None
    run(conn, now - timedelta(minutes=31))
    run(conn, now, command="import")
    run(conn, now - timedelta(hours=5), "csv", "running")
    assert next_run(client) is None

    run(conn, now - timedelta(minutes=29), "csv", "running")
    assert next_run(client) is not None


def test_a_source_outside_the_loop_has_no_next_run(reader_url, conn, now):
    run(conn, now)
    with api_on(reader_url, SOURCES="csv,coinpaprika") as client:
        assert next_run(client) is None
        assert stats(client, "coingecko")["budget"] is not None


@pytest.mark.parametrize(
    ("ages", "cleared", "due"),
    [
        ({"succeeded": timedelta(hours=3)}, None, timedelta(hours=21)),
        (
            {"succeeded": timedelta(hours=26), "failed": timedelta(minutes=20)},
            None,
            timedelta(minutes=40),
        ),
        ({"failed": timedelta(minutes=20)}, None, timedelta(minutes=40)),
        ({"succeeded": timedelta(hours=3)}, timedelta(hours=1), timedelta(0)),
        ({"succeeded": timedelta(hours=25)}, None, timedelta(0)),
    ],
)
def test_a_list_of_contracts_is_due_as_the_worker_decides(client, conn, now, ages, cleared, due):
    for outcome, age in ages.items():
        made = run(conn, now - age, "coingecko_coins", outcome)
    run(conn, now)
    add_checkpoint(conn, made, "coingecko_coins", cleared_at=cleared and now - cleared)
    conn.commit()

    found = next_run(client, "coingecko_coins")

    assert (read_due(conn, ["coingecko_coins"]) != []) is (due == timedelta(0))
    if due:
        assert found == now + due
    else:
        assert now <= found < now + timedelta(minutes=5)


def test_sources_of_a_provider_share_its_budget_and_files_have_none(client, conn):
    add_budget(conn, requests=12)

    response = client.get("/stats")
    check_answer(client.get("/openapi.json").json, "/stats", response)
    told = stats(client, "coingecko")["budget"]
    assert told == stats(client, "coingecko_coins")["budget"]
    assert told["provider"] == "coingecko"
    assert (told["requests_used"], told["requests_per_month"]) == (12, 777)
    assert told["requests_per_minute"] == 5
    assert (told["paused_until"], told["pause_reason"]) == (None, None)
    month = conn.scalar(select(func.date_trunc("month", func.timezone("UTC", func.now()))))
    renews = (month + timedelta(days=32)).replace(day=1)
    assert told["renews_at"] == f"{renews:%Y-%m-%d}T00:00:00.000000Z"
    assert stats(client, "csv")["budget"] is None
    assert {each for each in SOURCES if stats(client, each)["budget"] is None} == {"csv"}


def test_a_provider_that_was_never_asked_has_its_whole_budget(client):
    told = stats(client, "coinpaprika")["budget"]

    assert (told["requests_used"], told["next_request_at"]) == (0, None)
    assert told["renews_at"] is not None


def test_the_requests_of_a_month_that_is_over_do_not_count(client, conn):
    add_budget(conn, requests=500, month=date(2026, 1, 1))

    told = stats(client, "coingecko")["budget"]

    assert told["requests_used"] == 0
    assert datetime.fromisoformat(told["renews_at"]) > datetime.now(UTC) - timedelta(days=1)


@pytest.mark.parametrize(
    ("began", "ends", "is_paused"), [(-1, 5, True), (-10, -5, False), (10, 20, False)]
)
def test_a_pause_is_shown_while_it_lasts(client, conn, now, began, ends, is_paused):
    until = now + timedelta(minutes=ends)
    add_budget(
        conn,
        paused_at=now + timedelta(minutes=began),
        paused_until=until,
        pause_reason="rate_limited",
    )

    told = stats(client, "coingecko")["budget"]

    assert told["pause_reason"] == ("rate_limited" if is_paused else None)
    assert (told["paused_until"] is not None) is is_paused


def test_a_source_runs_next_when_the_pause_of_its_provider_ends(client, conn, now):
    run(conn, now - timedelta(minutes=4))
    until = now + timedelta(days=20)
    add_budget(conn, paused_at=now, paused_until=until, next_request_at=until)

    assert next_run(client) == until
    assert next_run(client, "csv") < now + TURN


@pytest.mark.parametrize(
    ("ahead", "pause", "is_shown"),
    [
        (timedelta(seconds=55), None, True),
        (timedelta(seconds=90), None, False),
        (timedelta(hours=1), timedelta(0), True),
        (timedelta(hours=1), timedelta(minutes=10), False),
    ],
)
def test_a_next_request_that_the_worker_ignores_is_not_shown(
    client, conn, now, ahead, pause, is_shown
):
    """A pause that begins in the future was stored before the clock was set back."""
    at = now + ahead
    paused = {} if pause is None else {"paused_at": now + pause, "paused_until": at}
    add_budget(conn, next_request_at=at, **paused)

    shown = stats(client, "coingecko")["budget"]["next_request_at"]

    assert (shown and datetime.fromisoformat(shown)) == (at if is_shown else None)
