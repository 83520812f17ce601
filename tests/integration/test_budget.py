import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, insert, select, text, update

from shared.errors import SourceError
from shared.schema.operations import request_budgets, runs
from tests.fakes.batches import COINGECKO, COINPAPRIKA
from worker.fetch.budget import Budget, read_usage

FAST = replace(COINGECKO, requests_per_minute=60_000_000)
PACED = replace(COINGECKO, requests_per_minute=5)
AT_ONCE = text("UPDATE request_budgets SET next_request_at = now()")
A_MONTH_BACK = text("UPDATE request_budgets SET month = month - interval '1 month'")

A_LISTING_EACH = text("""
WITH one AS (INSERT INTO assets (slug, symbol, name) VALUES ('a', 'A', 'A') RETURNING id)
INSERT INTO listings (source, external_id, asset_id, run_id, symbol, name, symbol_key, name_key,
  observed_at, payload_hash, match_method, match_score, match_evidence)
SELECT 'coingecko', n, id, 1, n, n, n, n, now(), '', 'new', 1, '{}'
FROM one, generate_series(1, 600) AS n
""")


def row(engine: Engine):
    with engine.connect() as conn:
        return conn.execute(select(request_budgets)).one()


def change(engine: Engine, *statements) -> None:
    with engine.begin() as conn:
        for statement in statements:
            conn.execute(statement)


def test_a_request_is_counted_and_the_next_is_delayed_by_the_rate(engine):
    with Budget(engine, PACED) as budget:
        assert budget.acquire() == 0

    kept = row(engine)
    assert (kept.source, kept.requests) == ("coingecko", 1)
    assert kept.next_request_at - kept.updated_at == timedelta(seconds=12)


def test_a_request_that_is_too_early_gets_the_wait_and_is_not_counted(engine):
    with Budget(engine, PACED) as one, Budget(engine, PACED) as other:
        one.acquire()

        assert 0 < other.acquire() <= 12
        change(engine, AT_ONCE)
        assert other.acquire() == 0

    assert row(engine).requests == 2


def test_requests_do_not_accumulate_while_idle(engine):
    with Budget(engine, PACED) as budget:
        budget.acquire()
        change(
            engine,
            update(request_budgets).values(next_request_at=text("now() - interval '1 hour'")),
        )

        assert budget.acquire() == 0
        assert budget.acquire() > 0


def test_a_request_is_committed_at_once(engine):
    with Budget(engine, PACED) as budget:
        budget.acquire()

        assert row(engine).requests == 1


def test_of_concurrent_processes_only_one_may_send(engine):
    together = threading.Barrier(8)

    def take(_: int) -> bool:
        with Budget(engine, PACED) as budget:
            together.wait()
            return budget.acquire() == 0

    with ThreadPoolExecutor(8) as threads:
        first = list(threads.map(take, range(8)))
        change(engine, AT_ONCE)
        second = list(threads.map(take, range(8)))

    assert first.count(True) == 1
    assert second.count(True) == 1
    assert row(engine).requests == 2


def test_concurrent_processes_never_exceed_the_budget(engine):
    source = replace(FAST, requests_per_month=20)
    together = threading.Barrier(8)

    def take_all(_: int) -> int:
        taken = 0
        with Budget(engine, source) as budget:
            together.wait()
            for _ in range(1000):
                try:
                    taken += budget.acquire() == 0
                except SourceError:
                    return taken
        raise AssertionError("the budget is never spent")

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take_all, range(8))) == 20

    assert row(engine).requests == 20


def test_a_spent_budget_refuses_requests_and_names_the_setting(engine):
    with Budget(engine, replace(FAST, requests_per_month=1)) as budget:
        budget.acquire()
        change(engine, update(request_budgets).values(month=text("date '2999-12-01'")), AT_ONCE)

        with pytest.raises(SourceError) as no:
            budget.acquire()

    assert no.value.code == "budget_spent"
    assert str(no.value) == (
        "coingecko: 1 of the 1 requests of 2999-12 are used; no request is sent before "
        "3000-01-01T00:00:00Z; if the plan has more, raise COINGECKO_REQUESTS_PER_MONTH"
    )


def test_a_new_month_begins_at_nothing(engine):
    with Budget(engine, replace(FAST, requests_per_month=1)) as budget:
        budget.acquire()
        month = row(engine).month
        change(engine, A_MONTH_BACK, AT_ONCE)

        assert budget.acquire() == 0

    assert (row(engine).month, row(engine).requests) == (month, 1)


def test_a_clock_set_back_over_a_month_forgets_nothing(engine):
    with Budget(engine, FAST) as budget:
        budget.acquire()
        change(engine, update(request_budgets).values(month=text("date '2999-12-01'")), AT_ONCE)
        budget.acquire()

    assert (str(row(engine).month), row(engine).requests) == ("2999-12-01", 2)


def test_the_month_is_that_of_utc_whatever_the_session_thinks(engine):
    with Budget(engine, FAST) as budget:
        budget.acquire()
    with engine.connect() as conn:
        conn.execute(text("SET timezone = 'Pacific/Kiritimati'"))
        utc = conn.scalar(text("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date"))

    assert row(engine).month == utc


def test_a_pause_holds_for_all_processes_and_a_shorter_one_does_not_end_it(engine):
    with Budget(engine, FAST) as one, Budget(engine, FAST) as other:
        one.acquire()
        one.pause(600)
        one.pause(7)

        assert 599 < other.acquire() <= 600
    kept = row(engine)
    assert kept.requests == 1
    assert timedelta(seconds=599) < kept.next_request_at - kept.updated_at <= timedelta(seconds=600)


def test_sources_have_budgets_of_their_own(engine):
    with Budget(engine, PACED) as one, Budget(engine, COINPAPRIKA) as other:
        assert one.acquire() == 0
        assert other.acquire() == 0


def add_run(conn: Connection, source: str, requests: int, ago: str, outcome: str = "succeeded"):
    conn.execute(
        insert(runs).values(
            source=source,
            command="run",
            outcome=outcome,
            host="here",
            pid=1,
            requests=requests,
            started_at=text(f"now() - interval '{ago}'"),
        )
    )


def test_before_the_first_run_nothing_is_used_and_a_pass_is_estimated(engine):
    with engine.connect() as conn:
        gecko, paprika = read_usage(conn, [COINPAPRIKA, COINGECKO])

    assert (paprika.source, paprika.used, paprika.budget) == ("coinpaprika", 0, 20_000)
    assert (gecko.source, gecko.used, gecko.budget) == ("coingecko", 0, 10_000)
    assert (paprika.requests_a_pass, gecko.requests_a_pass) == (1, 69)
    assert gecko.runs_out_at is None
    assert gecko.renews_at.day == 1
    assert gecko.renews_at.utcoffset() == timedelta(0)


def test_what_recent_runs_needed_and_how_fast_is_learnt_from_them(engine):
    with Budget(engine, FAST) as budget, engine.begin() as conn:
        budget.acquire()
        add_run(conn, "coingecko", 1000, "2 days")
        for _ in range(9):
            add_run(conn, "coingecko", 70, "10 hours")
        add_run(conn, "coingecko", 71, "1 hour")
        add_run(conn, "coingecko", 900, "1 hour", "failed")
        add_run(conn, "coingecko", 0, "1 hour")
        add_run(conn, "coinpaprika", 500, "10 hours")
        (usage,) = read_usage(conn, [FAST])

    assert usage.requests_a_pass == 71
    assert usage.requests_a_second == pytest.approx((9 * 70 + 71 + 900) / 36_000)
    assert usage.used == 1


def test_a_single_manual_run_does_not_count_as_a_rate(engine):
    with engine.begin() as conn:
        add_run(conn, "coingecko", 69, "10 seconds")
        (usage,) = read_usage(conn, [COINGECKO])

    assert usage.requests_a_second == pytest.approx(69 / 3600)


def test_a_source_without_runs_is_estimated_by_its_listings(engine):
    with engine.begin() as conn:
        conn.execute(A_LISTING_EACH)
        (usage,) = read_usage(conn, [COINGECKO])

    assert usage.requests_a_pass == 4


def test_what_was_used_in_an_earlier_month_is_not_used_in_this(engine):
    with Budget(engine, FAST) as budget:
        budget.acquire()
    change(engine, A_MONTH_BACK)
    with engine.connect() as conn:
        (usage,) = read_usage(conn, [FAST])

    assert usage.used == 0
