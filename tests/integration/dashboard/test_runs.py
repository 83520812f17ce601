"""The pages of runs: the list, one run, and two compared."""

from datetime import timedelta

import pytest

from tests.fakes.api import NOON, add_run
from tests.fakes.batches import COINGECKO, COINPAPRIKA, LATER, load, market, ticker
from tests.fakes.pages import HOSTILE, shown


@pytest.fixture
def two_runs(engine):
    """Runs 2 and 3 of CoinGecko: Bitcoin moves, Ether appears; run 1 is of another source."""
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 100))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 100))
    load(
        engine,
        COINGECKO,
        market("bitcoin", "btc", "Bitcoin", 150, LATER),
        market("ether", "eth", "Ether", 7, LATER),
        market("refused", "ref", "Refused", -1, LATER),
    )


@pytest.mark.usefixtures("two_runs")
def test_runs_are_listed_with_links_to_each(client):
    text = shown(client, "/runs")

    assert "3 runs" in text
    places = [text.index(f'href="/dashboard/runs/{run}"') for run in (3, 2, 1)]
    assert places == sorted(places)
    assert 'href="/dashboard/rejects?run_id=3&amp;state=all"' in text


def test_runs_are_filtered_and_the_form_keeps_the_filters(client, engine):
    with engine.begin() as conn:
        add_run(conn, outcome="failed", reason="unreachable")
        add_run(conn, source="csv", started_at=NOON + timedelta(days=1))
        add_run(conn)

    failed = shown(client, "/runs?source=coingecko&outcome=failed&command=&started_since=")
    late = shown(client, "/runs?started_since=2026-02-01T00:00")
    none = shown(client, "/runs?source=coinpaprika")

    assert "1 run pass" in failed
    assert "<option selected>failed</option>" in failed
    assert "unreachable" in failed
    assert '/runs/2"' in late
    assert '/runs/1"' not in late
    assert 'value="2026-02-01T00:00:00"' in late
    assert "No run passes these filters" in none


def test_runs_are_paged(client, engine):
    with engine.begin() as conn:
        for _ in range(3):
            add_run(conn)

    first = shown(client, "/runs?page_size=2")
    following = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = client.get(following).text

    assert '/runs/1"' not in first
    assert '/runs/1"' in second
    assert "First page" in second


def test_a_bad_parameter_is_an_error_page(client):
    assert "outcome" in shown(client, "/runs?outcome=good", 400)
    assert "Not found" in shown(client, "/runs/9", 404)
    assert "Not found" in shown(client, "/runs/none", 404)


@pytest.mark.usefixtures("two_runs")
def test_a_run_shows_its_counts_phases_and_changes(client):
    text = shown(client, "/runs/3")

    assert "$150" in text
    assert 'href="/dashboard/assets/ether"' in text
    assert 'href="/dashboard/runs/compare?a=2&amp;b=3"' in text
    assert 'href="/dashboard/sources#coingecko"' in text
    assert 'class="phase load"' in text


def test_the_first_run_and_a_list_of_contracts_have_nothing_to_compare(client, engine):
    with engine.begin() as conn:
        first = add_run(conn)
        contracts = add_run(conn, source="coingecko_coins")
        running = add_run(conn, outcome="running")

    assert "the first run of its source" in shown(client, f"/runs/{first}")
    assert "no prices to compare" in shown(client, f"/runs/{contracts}")
    assert "still at work" in shown(client, f"/runs/{running}")


def test_runs_without_a_record_are_not_said_to_have_seen_any(client, engine):
    with engine.begin() as conn:
        first, second = (add_run(conn, outcome="failed", reason="unreachable") for _ in range(2))

    assert "the first run of its source, and it loaded nothing" in shown(client, f"/runs/{first}")
    compared = shown(client, f"/runs/compare?a={first}&b={second}")
    assert f"Run {first} observed nothing anew." in compared
    assert "observed again" not in compared


def test_the_error_of_a_run_is_text(client, engine):
    with engine.begin() as conn:
        run = add_run(
            conn,
            outcome="failed",
            reason="unreachable",
            error=HOSTILE,
            cursor_after={"file": HOSTILE},
            rejects_dropped=3,
            phase_seconds={"fetch": 1.5, "load": 0.5},
        )

    text = shown(client, f"/runs/{run}")

    assert "<script>alert" not in text
    assert "<bdi>&lt;script&gt;alert(1)" in text
    assert "Time by phase: fetch 1.5 s, 75.0 %; load 0.5 s, 25.0 %" in text


def test_the_name_and_symbol_of_a_listing_are_text(client, engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 100))
    load(engine, COINGECKO, market(HOSTILE[:250], HOSTILE[:250], HOSTILE[:250], 7, LATER))

    for path in ("/runs/2", "/runs/compare?a=1&b=2"):
        assert shown(client, path).count("<bdi>&lt;script&gt;alert(1)") == 2


@pytest.mark.usefixtures("two_runs")
def test_two_runs_are_compared(client):
    text = shown(client, "/runs/compare?a=2&b=3")

    assert "Runs 2 and 3 compared" in text
    assert "+50.00 %" in text
    assert 'href="/dashboard/runs/compare?a=3&amp;b=2"' in text
    assert "Prices that moved" in text


@pytest.mark.usefixtures("two_runs")
def test_runs_that_cannot_be_compared_are_refused(client):
    other = shown(client, "/runs/compare?a=1&b=2", 400)
    assert "expected two runs of one source" in other
    assert '<a href="/dashboard/runs">Choose other runs</a>' in other
    assert "no run has the id 9" in shown(client, "/runs/compare?a=1&b=9", 404)


@pytest.mark.usefixtures("two_runs")
def test_a_page_without_a_past_says_so_and_keeps_the_time_for_its_links(client):
    text = shown(client, "/runs/3?as_of=2026-01-31T12:00")

    assert "This page has no past" in text
    assert 'href="/dashboard/assets/ether?as_of=' in text
