"""Request budgets with real workers: killed, restarted, told to wait, refused by the source."""

import json
import re
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, select, text, update
from sqlalchemy.engine import URL

from shared.schema.operations import request_budgets, runs
from tests.fakes.answers import Answer, rate_limited, reset, status, truncated
from tests.fakes.cases import sparse
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream

SIZE = 120
PAGE = 50
"""Assets of CoinGecko's pages, which it caps: there are three."""

ONLY_GECKO = "run --once --source coingecko"
ONLY_PAPRIKA = "run --once --source coinpaprika"
END_THE_BUDGETS_SESSION = text("""
SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE '%INSERT INTO request_budgets%'
  AND pid <> pg_backend_pid()
""")


def kept(engine: Engine, source: str = "coingecko"):
    with engine.connect() as conn:
        stmt = select(request_budgets).where(request_budgets.c.source == source)
        return conn.execute(stmt).one()


def last_run(engine: Engine):
    with engine.connect() as conn:
        return conn.execute(select(runs).order_by(runs.c.id.desc()).limit(1)).one()


def set_back(engine: Engine, **values: str) -> None:
    with engine.begin() as conn:
        conn.execute(update(request_budgets).values({k: text(v) for k, v in values.items()}))


def until(reached: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.02)


@pytest.mark.parametrize("page", sparse([3, 1], 2))
def test_a_request_that_a_killed_worker_had_under_way_is_counted(
    engine: Engine, database_url: URL, tmp_path: Path, page: int
):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream)
        upstream.answers(Answer(late_by=60), page=page)
        with WarmWorker(ONLY_GECKO, env, tmp_path) as worker:
            upstream.wait_until_asked(page)
            worker.kill()
            worker.communicate()

        assert kept(engine).requests == len(upstream.asked) == page

        ran = run_worker(ONLY_GECKO, env, tmp_path)

        assert ran.returncode == 0, ran.stderr
        assert kept(engine).requests == len(upstream.asked)


def test_failed_calls_count(engine: Engine, database_url: URL, tmp_path: Path):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream)
        upstream.answers(status(500), reset(), truncated())
        ran = run_worker(ONLY_GECKO, env, tmp_path)

        assert ran.returncode == 0, ran.stderr
        assert kept(engine).requests == len(upstream.asked) == 7
        assert last_run(engine).requests == 7

        upstream.answers(status(402))
        ran = run_worker(ONLY_GECKO, env, tmp_path)

        assert ran.returncode == 1
        assert kept(engine).requests == len(upstream.asked) == 8


def test_an_answer_that_nothing_changed_counts(engine: Engine, database_url: URL, tmp_path: Path):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream)
        for _ in range(2):
            ran = run_worker(ONLY_GECKO, env, tmp_path)
            assert ran.returncode == 0, ran.stderr

        assert last_run(engine).pages_not_modified == 4
        assert kept(engine).requests == len(upstream.asked) == 8


def test_with_a_spent_budget_no_request_is_sent_before_the_next_month(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream, COINGECKO_REQUESTS_PER_MONTH=2)
        for _ in range(2):
            ran = run_worker("run --once", env, tmp_path)

            assert ran.returncode == 1
            assert "failed (budget_spent: coingecko: 2 of the 2 requests of " in ran.stdout
            assert "raise COINGECKO_REQUESTS_PER_MONTH" in ran.stdout
            assert "coinpaprika: run " in ran.stdout
            asked = [a.params["page"] for a in upstream.asked if a.path.endswith("/coins/markets")]
            assert asked == ["1", "2"]

        set_back(engine, month="month - interval '1 month'")
        ran = run_worker(ONLY_GECKO, env, tmp_path)

        assert ran.returncode == 0, ran.stderr
        assert upstream.asked[-1].params["page"] == "4"
        assert kept(engine).requests == 2


def test_the_loop_says_at_each_interval_that_the_budget_is_spent_and_asks_nothing(
    engine: Engine, database_url: URL, tmp_path: Path
):
    def failed_runs() -> int:
        with engine.connect() as conn:
            spent = select(func.count()).where(runs.c.reason == "budget_spent")
            return conn.scalar(spent) or 0

    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream, COINPAPRIKA_REQUESTS_PER_MONTH=1)
        run_worker(ONLY_PAPRIKA, env, tmp_path)
        with WarmWorker("run --source coinpaprika --interval 1", env, tmp_path) as worker:
            until(lambda: failed_runs() >= 2)
            worker.send_signal(signal.SIGTERM)
            _, err = worker.communicate(timeout=30)

        assert worker.returncode == 0, err
        assert len(upstream.asked) == 1
        assert kept(engine, "coinpaprika").requests == 1


def test_the_pace_holds_across_two_processes(engine: Engine, database_url: URL, tmp_path: Path):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream, COINPAPRIKA_REQUESTS_PER_MINUTE=30)
        run_worker(ONLY_PAPRIKA, env, tmp_path)
        first = kept(engine, "coinpaprika")
        run_worker(ONLY_PAPRIKA, env, tmp_path)
        second = kept(engine, "coinpaprika")

    assert first.next_request_at - first.updated_at == timedelta(seconds=2)
    assert second.requests == 2
    assert second.updated_at >= first.next_request_at


def test_a_long_pause_that_the_source_asked_for_outlasts_the_worker(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream)
        upstream.answers(rate_limited(seconds=3600))
        ran = run_worker(ONLY_GECKO, env, tmp_path)

        assert ran.returncode == 1
        assert "the provider asks for a pause of 3600 s" in ran.stdout
        first = kept(engine)
        assert first.next_request_at - first.updated_at == timedelta(seconds=3600)

        for _ in range(2):
            ran = run_worker(ONLY_GECKO, env, tmp_path)

            assert ran.returncode == 1
            assert "failed (rate_limited: GET " in ran.stdout
            (said,) = re.findall(r"try again after (\S+Z)", ran.stdout)
            assert abs(datetime.fromisoformat(said) - first.next_request_at) < timedelta(seconds=2)
        assert len(upstream.asked) == 1
        assert kept(engine) == first

        set_back(engine, next_request_at="now()", paused_until="now()")
        ran = run_worker(ONLY_GECKO, env, tmp_path)

        assert ran.returncode == 0, ran.stderr
        assert kept(engine).requests == len(upstream.asked) == 5


@pytest.mark.slow
def test_a_short_pause_is_waited_out_by_the_worker_that_comes_after_a_killed_one(
    engine: Engine, database_url: URL, tmp_path: Path
):
    def is_deferred() -> bool:
        with engine.connect() as conn:
            budget = conn.execute(select(request_budgets)).one_or_none()
        return budget is not None and budget.next_request_at - budget.updated_at > timedelta(
            seconds=3
        )

    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream)
        upstream.answers(status(503, Retry_After="4"))
        with WarmWorker(ONLY_PAPRIKA, env, tmp_path) as worker:
            until(is_deferred)
            worker.kill()
            worker.communicate()
        first = kept(engine, "coinpaprika")
        assert len(upstream.asked) == 1

        ran = run_worker(ONLY_PAPRIKA, env, tmp_path)

        assert ran.returncode == 0, ran.stderr
        assert kept(engine, "coinpaprika").requests == len(upstream.asked) == 2
        assert kept(engine, "coinpaprika").updated_at >= first.next_request_at


def test_a_stopped_worker_that_waits_for_the_rate_limiter_ends_and_counts_no_request(
    engine: Engine, database_url: URL, tmp_path: Path
):
    def is_running() -> bool:
        with engine.connect() as conn:
            return conn.scalar(select(func.count()).where(runs.c.outcome == "running")) == 1

    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream)
        run_worker(ONLY_PAPRIKA, env, tmp_path)
        set_back(engine, paused_at="now()", paused_until="now() + interval '150 s'")
        with WarmWorker(ONLY_PAPRIKA, env, tmp_path) as worker:
            until(is_running)
            worker.send_signal(signal.SIGTERM)
            out, err = worker.communicate(timeout=60)

        assert worker.returncode == 0, err
        assert "partial (stopped: " in out
        assert kept(engine, "coinpaprika").requests == len(upstream.asked) == 1


def test_with_the_budgets_own_connection_lost_the_run_ends_and_the_loop_goes_on(
    engine: Engine, database_url: URL, tmp_path: Path
):
    def has_succeeded() -> bool:
        with engine.connect() as conn:
            succeeded = select(func.count()).where(runs.c.outcome == "succeeded")
            return (conn.scalar(succeeded) or 0) > 0

    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream, LOG_FORMAT="json")
        upstream.answers(Answer(late_by=2), page=2)
        with WarmWorker("run --source coingecko --interval 600", env, tmp_path) as worker:
            upstream.wait_until_asked(2)
            with engine.connect() as conn:
                assert conn.scalar(END_THE_BUDGETS_SESSION) == 1
            until(has_succeeded)
            worker.send_signal(signal.SIGTERM)
            _, err = worker.communicate(timeout=30)

        assert worker.returncode == 0, err
        assert "the database is unavailable; trying again" in err
        assert "internal" not in err
        assert kept(engine).requests == len(upstream.asked)


def test_a_budget_that_another_session_keeps_locked_fails_the_run_under_a_stable_reason(
    engine: Engine, database_url: URL, tmp_path: Path
):
    impatient = database_url.update_query_dict({"options": "-c lock_timeout=200ms"})
    with Upstream(SIZE, page_cap=PAGE) as upstream, engine.begin() as conn:
        conn.execute(text("LOCK TABLE request_budgets"))
        ran = run_worker(ONLY_GECKO, environ(impatient, upstream), tmp_path)

        assert ran.returncode == 1
        assert "failed (lock_timeout: coingecko: " in ran.stdout
        assert not upstream.asked


@pytest.mark.slow
def test_workers_on_two_databases_have_budgets_of_their_own(
    engine: Engine, database_url: URL, empty_database_url: URL, tmp_path: Path
):
    other = environ(empty_database_url)
    assert run_worker("migrate", other, tmp_path).returncode == 0
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        for url in (database_url, empty_database_url):
            env = environ(url, upstream, COINPAPRIKA_REQUESTS_PER_MONTH=1)
            ran = run_worker(ONLY_PAPRIKA, env, tmp_path)
            assert ran.returncode == 0, ran.stderr

    other_engine = create_engine(empty_database_url)
    assert kept(engine, "coinpaprika").requests == 1
    assert kept(other_engine, "coinpaprika").requests == 1
    other_engine.dispose()


@pytest.mark.slow
def test_a_loop_whose_budget_is_too_small_for_the_interval_warns_once_at_its_start(
    database_url: URL, tmp_path: Path
):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(
            database_url, upstream, COINPAPRIKA_REQUESTS_PER_MONTH=20_000, LOG_FORMAT="json"
        )
        with WarmWorker("run --source coinpaprika --interval 1", env, tmp_path) as worker:
            upstream.wait_until_asked(3)
            worker.send_signal(signal.SIGTERM)
            _, err = worker.communicate(timeout=30)

    lines = [json.loads(line) for line in err.splitlines()]
    (said,) = [line for line in lines if "advice" in line]
    assert said["level"] == "warning"
    assert said["advice"].startswith(
        "coinpaprika: 2592000 passes a month at 1 requests each need 2592000 requests, the budget "
        "is 20000; RUN_INTERVAL_SECONDS=130 would fit"
    )
    assert lines.index(said) == 0


def test_status_shows_what_is_used_of_each_budget_and_when_it_runs_out(
    database_url: URL, tmp_path: Path
):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream, COINGECKO_REQUESTS_PER_MONTH=4)
        run_worker("run --once --source coingecko --source coinpaprika", env, tmp_path)
    ran = run_worker("status --json", env, tmp_path)
    table = run_worker("status", env, tmp_path)

    gecko, paprika = json.loads(ran.stdout)["budgets"]
    assert (gecko["source"], gecko["requests_used"], gecko["requests_budget"]) == (
        "coingecko",
        4,
        4,
    )
    assert gecko["runs_out_at"] is not None
    assert (paprika["source"], paprika["requests_used"], paprika["runs_out_at"]) == (
        "coinpaprika",
        1,
        None,
    )
    assert (
        "coingecko: 4 of 4 requests of the month used; no request is sent before " in table.stdout
    )
    assert "coinpaprika: 1 of 1000000 requests of the month used; the rest lasts " in table.stdout
