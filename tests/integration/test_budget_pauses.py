"""Pauses that a provider asks for: how long they are honoured, and how they are lifted."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, insert, select, text, update

from shared.errors import RetryableError, SourceError
from shared.schema.operations import request_budgets
from shared.settings import Settings
from tests.fakes.answers import rate_limited, real, status
from tests.fakes.runner import QUICK
from tests.fakes.upstream import Upstream
from worker.cli.main import main
from worker.fetch.budget import Budget, read_usage
from worker.fetch.client import Http
from worker.sources.coingecko import Coingecko
from worker.sources.coingecko_coins import CoingeckoCoins
from worker.sources.coinpaprika import Coinpaprika
from worker.stopping import StopEvent

NONE = Settings.from_env({})
GECKO = replace(Coingecko.from_settings(NONE), requests_per_minute=1_000_000_000)
COINS = replace(CoingeckoCoins.from_settings(NONE), requests_per_minute=1_000_000_000)
PAPRIKA = replace(Coinpaprika.from_settings(NONE), requests_per_minute=1_000_000_000)
OVER = {
    "paused_at": "now() - (paused_until - paused_at)",
    "paused_until": "now()",
    "next_request_at": "now()",
}
"""A pause of its length that has just ended."""
SPENT = {
    "error": "This plan has 20000 monthly requests limit, your requests rate is: 20004.152610."
}


def change(engine: Engine, **values: str) -> None:
    with engine.begin() as conn:
        conn.execute(update(request_budgets).values({k: text(v) for k, v in values.items()}))


def row(engine: Engine):
    with engine.connect() as conn:
        return conn.execute(select(request_budgets)).one()


def worker(url, upstream: Upstream | None, command: str):
    env = {
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "SOURCES": "coingecko",
        "COINGECKO_REQUESTS_PER_MINUTE": "1000000",
        "COINPAPRIKA_REQUESTS_PER_MINUTE": "1000000",
        "COINGECKO_BASE_URL": upstream.coingecko_url if upstream else "http://127.0.0.1:9",
        "COINPAPRIKA_BASE_URL": upstream.coinpaprika_url if upstream else "http://127.0.0.1:9",
    }
    return CliRunner(env=env).invoke(main, command.split())


def test_two_sources_of_one_provider_share_its_pause(engine):
    with Budget(engine, GECKO) as market, Budget(engine, COINS) as coins:
        market.acquire()
        market.pause(600, "HTTP 429: 'Throttled'")

        assert 599 < coins.acquire() <= 600
        assert coins.pause_message == "HTTP 429: 'Throttled'"


def test_after_the_pause_requests_are_allowed_again(engine):
    with Budget(engine, GECKO) as budget:
        budget.acquire()
        budget.pause(600, "wait")
        change(engine, paused_until="now()", next_request_at="now()")

        assert budget.acquire() == 0


def test_the_backoff_doubles_until_the_source_responds(engine):
    with Budget(engine, GECKO) as budget:
        pauses = []
        for _ in range(4):
            budget.acquire()
            pauses.append(budget.back_off(60, 300, "HTTP 429"))
            assert pauses[-1] - 1 < budget.acquire() <= pauses[-1]
            change(engine, **OVER)
        assert budget.acquire() == 0
        budget.reset_backoff()

        budget.acquire()
        assert pauses == [60, 120, 240, 300]
        assert budget.back_off(60, 300, "HTTP 429") == 60
        assert budget.back_off(60, 300, "of another process") == 0


def test_a_429_that_does_not_say_for_how_long_leaves_a_pause(database_url, engine):
    with Upstream(assets=3) as upstream, Budget(engine, GECKO) as budget:
        upstream.always(rate_limited())
        source = replace(GECKO, base_url=upstream.coingecko_url)
        advice = (
            "no request is sent for 60 s; to send fewer requests, lower "
            "COINGECKO_REQUESTS_PER_MINUTE"
        )
        with (
            Http("coingecko", budget, StopEvent(), QUICK) as fetch,
            pytest.raises(RetryableError, match=advice),
        ):
            fetch(source.request(None))

    pause = row(engine)
    assert (pause.paused_until - pause.paused_at).total_seconds() == 60
    shown = worker(database_url, None, "budget show coingecko")
    assert f"paused until {pause.paused_until.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" in shown.output


def test_a_response_after_a_pause_resets_the_backoff(engine):
    lengths = []
    with Upstream(assets=3) as upstream, Budget(engine, GECKO) as budget:
        request = replace(GECKO, base_url=upstream.coingecko_url).request(None)
        upstream.always(rate_limited())
        with Http("coingecko", budget, StopEvent(), QUICK) as fetch:
            for is_answered in (False, False, True):
                if is_answered:
                    upstream.answers(real())
                    fetch(request)
                with pytest.raises(RetryableError):
                    fetch(request)
                pause = row(engine)
                lengths.append((pause.paused_until - pause.paused_at).total_seconds())
                change(engine, **OVER)

    assert lengths == [60, 120, 60]


@pytest.mark.parametrize("column", ["paused_at", "next_request_at"])
def test_a_clock_that_was_set_back_blocks_no_requests(column, engine):
    with Budget(engine, GECKO) as budget:
        budget.acquire()
        if column == "paused_at":
            budget.pause(600, "wait")
        # What was noted while the clock was a year ahead.
        ahead = "now() + interval '1 year'"
        paused = {"paused_at": ahead, "paused_until": ahead} if column == "paused_at" else {}
        change(engine, next_request_at=ahead, **paused)

        assert budget.acquire() == 0


def test_a_pause_set_by_a_clock_ahead_is_replaced(engine):
    with Budget(engine, GECKO) as budget:
        budget.acquire()
        ahead = "now() + interval '1 year'"
        change(engine, paused_at=ahead, paused_until=ahead, pause_reason="'rate_limited'")
        budget.pause(60, "wait")

        assert 59 < budget.acquire() <= 60


def test_a_monthly_limit_reported_by_the_provider_pauses_it_until_the_next_month(engine):
    with Budget(engine, PAPRIKA) as budget:
        budget.acquire()
        budget.pause_until_next_month("HTTP 402: 'monthly requests limit'")
        budget.pause(60, "a shorter one")

        with pytest.raises(SourceError, match="HTTP 402: 'monthly requests limit'") as no:
            budget.acquire()

    assert no.value.code == "budget_spent"
    until = row(engine).paused_until.astimezone(UTC)
    assert (until.day, until.hour) == (1, 0)
    assert timedelta(0) < until - datetime.now(UTC) <= timedelta(days=31)


def test_the_usage_includes_the_pause(engine):
    with Budget(engine, GECKO) as budget:
        budget.acquire()
        budget.pause(600, "HTTP 429")
    with engine.connect() as conn:
        (usage,) = read_usage(conn, [GECKO])

    assert (usage.pause_reason, usage.pause_said) == ("rate_limited", "HTTP 429")
    assert usage.paused_until == usage.next_request_at


def test_a_retry_after_of_years_is_honoured_for_hours_then_tested(engine, database_url):
    with Upstream(assets=3) as upstream:
        upstream.answers(rate_limited(seconds=400 * 86_400))
        first = worker(database_url, upstream, "run --once --source coingecko")
        again = worker(database_url, upstream, "run --once --source coingecko")

        assert "honoured for 21600 s; one test request is sent after" in first.output
        kept = row(engine)
        assert kept.paused_until - kept.paused_at == timedelta(hours=6)
        assert "not sent: the pause that the provider asked for lasts" in again.output
        assert "You've exceeded the Rate Limit" in again.output
        assert len(upstream.asked) == 1

        change(engine, paused_until="now()", next_request_at="now()")
        upstream.always(rate_limited(seconds=400 * 86_400))
        worker(database_url, upstream, "run --once --source coingecko")

        assert len(upstream.asked) == 2
        assert row(engine).paused_until > kept.paused_until


def test_budget_show_and_reset(engine, database_url):
    with Upstream(assets=3) as upstream:
        upstream.answers(rate_limited(seconds=3600))
        worker(database_url, upstream, "run --once --source coingecko")

        shown = worker(database_url, upstream, "budget show coingecko_coins")
        assert "coingecko: 1 of 10000 requests of the month used; paused until 20" in shown.output
        assert "You've exceeded the Rate Limit" in shown.output
        as_json = worker(database_url, upstream, "budget show --json")
        gecko, paprika = json.loads(as_json.stdout)
        assert (gecko["source"], gecko["pause_reason"]) == ("coingecko", "rate_limited")
        assert (paprika["source"], paprika["paused_until"]) == ("coinpaprika", None)

        rehearsed = worker(database_url, upstream, "budget reset coingecko --dry-run")
        until = shown.output.partition("paused until ")[2][: len("2026-12-01 00:00:00Z")]
        assert f"the pause until {until} (rate_limited) would be lifted" in rehearsed.output
        assert row(engine).paused_until is not None

        done = worker(database_url, upstream, "budget reset coingecko")
        assert "(rate_limited) lifted" in done.output
        assert (row(engine).paused_until, row(engine).requests) == (None, 1)
        assert "not paused" in worker(database_url, upstream, "budget reset coingecko").output

        ran = worker(database_url, upstream, "run --once --source coingecko")
        assert "succeeded" in ran.output


def test_coinpaprikas_402_of_a_spent_month_does_not_blame_the_key(database_url):
    with Upstream(assets=3) as upstream:
        upstream.always(status(402, SPENT))
        first = worker(database_url, upstream, "run --once --source coinpaprika")
        again = worker(database_url, upstream, "run --once --source coinpaprika")

        assert "failed (budget_spent: GET " in first.output
        assert "HTTP 402: 'This plan has 20000 monthly requests limit" in first.output
        assert "API_KEY" not in first.output
        assert "failed (budget_spent: coinpaprika: no request is sent before 2" in again.output
        assert "This plan has 20000 monthly requests limit" in again.output
        assert len(upstream.asked) == 1


def test_a_reset_corrects_a_month_that_lies_ahead(engine, database_url):
    with engine.begin() as conn:
        conn.execute(
            insert(request_budgets).values(
                source="coingecko",
                month=text("date '2999-12-01'"),
                requests=10_000,
                next_request_at=text("now()"),
            )
        )

    worker(database_url, None, "budget reset coingecko")

    assert (row(engine).month, row(engine).requests) == (
        datetime.now(UTC).date().replace(day=1),
        0,
    )
