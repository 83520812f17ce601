"""The page of sources: how each does, its next run, its budget and its last days."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from api.database.cache import RecentValues
from shared.model.catalogue import SOURCES
from shared.schema.operations import request_budgets
from tests.fakes.api import add_run
from tests.fakes.api_cache import kept_from_now_on
from tests.fakes.pages import Page, shown

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
API_SETTINGS = {"SOURCES": "csv,coinpaprika,coingecko,coingecko_coins"}


ERROR = "GET https://api.exampledesk.test/markets: connection refused"


def ago(hours, **columns):
    started = NOW - hours * HOUR
    finished = started + timedelta(seconds=columns.pop("took", 5))
    return {"started_at": started, "finished_at": finished, **columns}


def tile(text, source):
    """Return the part of the page that shows a source."""
    return text.partition(f'id="{source}"')[2].partition("<article")[0]


def test_without_runs_the_page_says_how_to_start(client):
    text = shown(client, "/sources")

    assert "No source was read yet" in text
    assert "No run started in the last 90 days." in tile(text, "coingecko")
    assert "not in the loop" in tile(text, "coinpaprika_contracts")


@pytest.mark.parametrize(
    ("runs", "state", "symbol"),
    [
        ([ago(0)], "fresh", "✓"),
        ([ago(9)], "late", "◷"),
        ([ago(1), ago(0, outcome="failed", reason="unreachable")], "failing", "✕"),
        ([ago(1), ago(0, outcome="partial", reason="fewer_records")], "partial", "◐"),
        ([], "not read", "\N{EN DASH}"),
    ],
)
def test_the_state_of_a_source_is_said_in_a_word(client, engine, runs, state, symbol):
    with engine.begin() as conn:
        for columns in runs:
            add_run(conn, **columns)

    shown_state = tile(shown(client, "/sources"), "coingecko")

    assert f'<span aria-hidden="true">{symbol}</span> {state}</span>' in shown_state


def test_a_failing_source_says_why_and_since_when_and_leads_to_its_runs(client, engine):
    with engine.begin() as conn:
        add_run(conn, **ago(5))
        first = NOW - 3 * HOUR
        for hours in (3, 2):
            why = {"reason": "unreachable", "error": f"{ERROR}\nmore of it"}
            failed = add_run(conn, outcome="failed", **why, **ago(hours))

    shown_tile = tile(shown(client, "/sources"), "coingecko")

    assert "The last run failed: unreachable" in shown_tile
    assert f"<bdi>{ERROR}</bdi>" in shown_tile
    assert "more of it" not in shown_tile
    assert f'since <time datetime="{first.isoformat().replace("+00:00", "Z")}"' in shown_tile
    assert f'href="/dashboard/runs/{failed}"' in shown_tile
    assert 'href="/dashboard/runs?source=coingecko"' in shown_tile


def test_the_next_run_and_the_budget_are_shown(client, engine):
    with engine.begin() as conn:
        add_run(conn, **ago(0))
        conn.execute(
            insert(request_budgets).values(
                source="coingecko",
                month=NOW.date().replace(day=1),
                requests=4200,
                next_request_at=NOW,
                paused_at=NOW,
                paused_until=NOW + HOUR,
                pause_reason="rate_limited",
            )
        )

    text = shown(client, "/sources")
    budget = tile(text, "coingecko")

    assert '<meter value="4200" max="10000"' in budget
    assert "paused: rate limited" in budget
    assert "worker budget reset coingecko" in budget
    assert "no loop runs" not in budget
    assert "files need none" in tile(text, "csv")
    assert [source for source in SOURCES if "not prices" in tile(text, source)] == [
        "coingecko_coins",
        "coinpaprika_contracts",
    ]


def test_the_last_days_are_drawn_with_a_summary_and_a_table(client, engine):
    with engine.begin() as conn:
        add_run(conn, **ago(24 * 3))
        add_run(conn, outcome="failed", reason="unreachable", **ago(24 * 2))

    text = shown(client, "/sources?days=30")
    page = Page(tile(text, "coingecko").rpartition("</article>")[0])
    failed_on = f"{NOW - 48 * HOUR:%Y-%m-%d}"

    assert "2 runs, 1 succeeded, 0 partial, 1 failed; 28 days without a run" in page.text
    assert [attrs["class"] for tag, attrs in page.tags if tag == "rect"].count("day failed") == 1
    link = next(link for link in page.links if f"started_since={failed_on}" in link)
    assert "1 run pass" in client.get(link).text
    assert "30 days</a>" in text
    assert "days" in shown(client, "/sources?days=3", 400)


PATHS = ("/dashboard/sources", "/dashboard/quality", "/dashboard/reviews")
HTML = {"Accept": "text/html"}


@pytest.mark.parametrize("path", PATHS)
def test_pages_that_change_without_a_commit_are_shared_for_some_seconds(client, caplog, path):
    caplog.set_level("INFO", logger="api.request.access")
    kept_from_now_on(client)
    first = client.get(path, headers=HTML)

    client.get(path, headers=HTML | {"If-None-Match": first.headers["ETag"]})
    other = client.get(f"{path}?as_of=2026-01-31T12:00:00Z", headers=HTML)

    lines = [record for record in caplog.records if record.getMessage() == "request"]
    assert [line.status for line in lines] == [200, 304, 200]
    assert [line.cache for line in lines] == ["miss", "hit", "miss"]
    assert "Not the past" in other.text


def test_a_shared_page_is_made_anew_after_that(client, engine):
    client.application.extensions["shared_pages"] = RecentValues(9, seconds=0)
    before = shown(client, "/sources")
    with engine.begin() as conn:
        add_run(conn, outcome="running")

    assert "at work" not in before
    assert "at work" in shown(client, "/sources")


def test_the_page_is_answered_with_304(client, engine):
    with engine.begin() as conn:
        add_run(conn, outcome="running")
    first = client.get("/dashboard/sources", headers={"Accept": "text/html"})
    headers = {"Accept": "text/html", "If-None-Match": first.headers["ETag"]}

    assert "at work" in first.text
    assert client.get("/dashboard/sources", headers=headers).status_code == 304
