"""Pages of the past, cached pages, and the stale sources that a page names."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from sqlalchemy import update

from api.dashboard.rendering import iso
from api.responses.cached import Representation
from api.responses.staleness import Stale
from shared.schema.market import listings
from shared.schema.operations import runs
from tests.fakes.api import NOON, add_checkpoint, add_observation, add_raw_record, add_run
from tests.fakes.api_cache import kept_from_now_on
from tests.fakes.pages import Page, add_traced_asset

DAY = timedelta(days=1)
LATER = NOON + timedelta(minutes=30)
THEN = "2026-01-31T12:10:00Z"
ASSET = "/dashboard/assets/bitcoin"


def add_later_price(conn):
    """Observe another price of the asset half an hour later."""
    asset = add_traced_asset(conn)
    raw = {"payload_hash": add_raw_record(conn, "coingecko", "bitcoin", '{"price": 70000}')}
    observed = {"observed_at": LATER, "price_usd": 70000, **raw}
    listing = conn.execute(update(listings).values(observed).returning(listings.c.id)).scalar_one()
    add_observation(conn, listing, **observed)
    return asset


def test_an_asset_of_the_past_shows_nothing_that_came_later(client, conn):
    add_later_price(conn)

    now = Page(client.get(f"{ASSET}?interval=1h").text)
    then = Page(client.get(f"{ASSET}?interval=1h&as_of={THEN}").text)

    assert "70,000.00" in now.text
    assert "70,000.00" not in then.text
    assert "64,321.09" in then.text
    assert "The past." in then.text
    assert "Stale:" not in then.text
    assert all(
        "as_of=" in link for link in then.links if link.startswith("/dashboard/assets/bitcoin/raw")
    )
    record = next(link for link in then.links if "/raw?" in link)
    assert "64321.09120000000000000001" in client.get(record).text


def test_what_was_loaded_later_was_not_known_then(client, conn):
    add_later_price(conn)

    answer = client.get(f"{ASSET}?known_at=2026-01-31T11:00:00Z")
    assert answer.status_code == 404
    page = Page(answer.text)
    assert "Nothing was observed of 'bitcoin' by then." in page.text
    assert ASSET in page.links


def test_a_cached_page_has_the_headers_and_the_log_line_of_the_first(client, conn, caplog):
    caplog.set_level("INFO", logger="api.request.access")
    add_traced_asset(conn)
    kept_from_now_on(client)
    first, again = client.get(ASSET), client.get(ASSET)
    lines = [record for record in caplog.records if record.getMessage() == "request"]

    volatile = {"X-Request-Id", "traceparent", "Server-Timing"}
    assert {name: value for name, value in first.headers if name not in volatile} == {
        name: value for name, value in again.headers if name not in volatile
    }
    assert len(again.headers) == len(first.headers)
    assert first.data == again.data
    assert [(line.cache, line.route, line.status) for line in lines] == [
        ("miss", "/dashboard/assets/<slug>", 200),
        ("hit", "/dashboard/assets/<slug>", 200),
    ]


def test_stale_sources_are_named(client, conn):
    add_traced_asset(conn)
    add_run(conn, "coingecko", outcome="failed", reason="unreachable")

    page = Page(client.get("/dashboard").text)
    said = client.get("/data").json["meta"]["stale_sources"]

    assert said
    assert f"Stale: {', '.join(said)}." in page.text


def test_while_the_data_is_the_sample_the_pages_say_so(client, conn):
    add_traced_asset(conn)
    conn.execute(update(runs).values(outcome="failed", reason="unreachable"))
    run = add_run(conn, "csv")
    add_checkpoint(conn, run, "csv", cursor={"sample": True})

    present = Page(client.get("/dashboard").text)
    past = Page(client.get(f"{ASSET}?as_of={THEN}").text)

    assert "Sample data of 2021." in present.text
    assert "Sample data of 2021." in past.text


def test_a_page_that_names_other_stale_sources_is_made_again():
    stale, fresh, sample = Stale.of(["csv"]), Stale.of([]), Stale.of([], sample=True)
    page = Representation(b"", b"", rows=1, changed_at=None, stale_tag=fresh.tag)
    document = Representation(json.dumps([]).encode(), b"", rows=1, changed_at=None)

    assert page.is_valid_for(fresh)
    assert not page.is_valid_for(stale)
    assert not page.is_valid_for(sample)
    assert document.is_valid_for(stale)


def fields_of(page):
    """Return the values of a page's visible form fields by name."""
    inputs = [attrs for tag, attrs in page.tags if tag == "input"]
    return {each["name"]: each.get("value") for each in inputs if each.get("type") != "hidden"}


@pytest.mark.parametrize(
    ("path", "name", "fields"),
    [
        ("", "as_of", {"as_of": "2026-01-31", "as_of_time": "12:10:00"}),
        ("", "known_at", {"known_at": "2026-01-31", "known_at_time": "12:10:00"}),
        ("/divergent", "as_of", {"as_of": "2026-01-31", "as_of_time": "12:10:00"}),
        ("/runs", "started_since", {"started_since": "2026-01-31T12:10:00"}),
        ("/runs", "started_before", {"started_before": "2026-01-31T12:10:00"}),
    ],
)
def test_an_offset_with_an_unencoded_plus_is_read_as_by_the_api(client, conn, path, name, fields):
    add_traced_asset(conn)

    page = Page(client.get(f"/dashboard{path}?{name}=2026-01-31T14:10:00+02:00").text)

    assert fields.items() <= fields_of(page).items()


@pytest.mark.parametrize(
    ("query", "price", "as_of"),
    [
        ("as_of=2026-01-30", None, "2026-01-30T23:59:59.999999Z"),
        ("as_of=2026-01-31&as_of_time=", "70,000.00", "2026-01-31T23:59:59.999999Z"),
        ("as_of=2026-01-31&as_of_time=12:10", "64,321.09", "2026-01-31T12:10Z"),
        ("as_of_time=12:10:00&as_of=2026-01-31", "64,321.09", "2026-01-31T12:10:00Z"),
    ],
)
def test_a_day_means_its_end_unless_a_time_of_day_is_given(client, conn, query, price, as_of):
    add_later_price(conn)

    page = Page(client.get(f"/dashboard?{query}").text)

    assert (price or "Nothing was observed by then") in page.text
    [runs] = [link for link in page.links if link.startswith("/dashboard/runs")]
    assert parse_qs(urlsplit(runs).query) == {"as_of": [as_of]}
    assert fields_of(page)["as_of_time"] == ("" if "999999" in as_of else "12:10:00")


def test_without_a_day_its_time_counts_for_nothing(client, conn):
    add_later_price(conn)

    page = Page(client.get(f"{ASSET}?as_of=&as_of_time=12:10:00&known_at=").text)

    assert "70,000.00" in page.text
    assert "As of: now" in page.text


def test_today_means_the_present_unless_a_time_of_day_is_given(client):
    today = datetime.now(UTC).date()

    alone = client.get(f"/dashboard?as_of={today}&as_of_time=&q=a&known_at={today - DAY}")
    with_time = client.get(f"/dashboard?as_of={today}&as_of_time=00:00")

    known_at = f"{today - DAY}T23:59:59.999999Z"
    assert alone.status_code == 303
    assert alone.headers["Location"] == f"/dashboard?q=a&known_at={quote_plus(known_at)}"
    assert with_time.status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "as_of=2026-02-30",
        "as_of=2026-01-31&as_of_time=25:00",
        "as_of_time=12:00",
        "as_of=2026-01-31&as_of_time=12:00&as_of_time=13:00",
        "as_of=2026-01-31&as_of=2026-01-30",
    ],
)
def test_a_day_or_a_time_of_day_that_cannot_be_read_is_an_error_page(client, query):
    answer = client.get(f"/dashboard?{query}")

    assert answer.status_code == 400
    assert "as_of" in answer.text


def test_earlier_times_are_counted_from_the_last_change_or_the_time_that_is_shown(client, conn):
    add_later_price(conn)

    def leads_to(page, at):
        return f"/dashboard?as_of={quote_plus(iso(at))}" in page.links

    now = Page(client.get("/dashboard").text)
    past = Page(client.get("/dashboard?as_of=2026-01-31T12:10:00Z&page=1").text)
    changed_at = datetime.fromisoformat(
        [each for tag, each in now.tags if tag == "time"][-1]["datetime"]
    )

    assert "A day earlier A week earlier Counted from the last change loaded." in now.text
    assert leads_to(now, changed_at - DAY)
    assert leads_to(now, changed_at - 7 * DAY)
    assert "A day earlier A week earlier Now Counted from the time that is shown." in past.text
    assert leads_to(past, datetime(2026, 1, 30, 12, 10, tzinfo=UTC))
    assert leads_to(past, datetime(2026, 1, 24, 12, 10, tzinfo=UTC))
    assert "/dashboard" in past.links


def test_no_earlier_time_is_offered_where_there_is_none(client, conn):
    add_traced_asset(conn)

    first_days = client.get("/dashboard?as_of=0001-01-02T00:00:00Z")
    newest_records = client.get(f"{ASSET}/raw")

    assert first_days.status_code == 200
    assert "earlier" not in Page(first_days.text).text
    assert 'name="as_of"' not in newest_records.text


def test_the_banner_of_the_past_gives_the_time_in_utc(client, conn):
    add_traced_asset(conn)

    text = client.get("/dashboard?as_of=2026-01-31T14:10:00%2B02:00").text

    assert f'<time datetime="{THEN}" data-form="time">2026-01-31 12:10 UTC</time>' in text


def test_a_malformed_time_is_an_error_page_without_a_banner(client):
    answer = client.get("/dashboard?as_of=yesterday")

    assert answer.status_code == 400
    assert "not a time" in answer.text
    assert "The past." not in answer.text
