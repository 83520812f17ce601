"""Pages of the past, cached pages, and the stale sources that a page names."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import update

from api.responses.cached import Representation
from api.responses.staleness import Stale
from shared.schema.market import listings
from tests.fakes.api import NOON, add_observation, add_raw_record, add_run
from tests.fakes.api_cache import kept_from_now_on
from tests.fakes.pages import Page, add_traced_asset

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
    assert "nothing was observed by then" in page.text
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


def test_a_page_that_names_other_stale_sources_is_made_again():
    stale, fresh = Stale.of(["csv"]), Stale.of([])
    page = Representation(b"", b"", rows=1, changed_at=None, stale_tag=fresh.tag)
    document = Representation(json.dumps([]).encode(), b"", rows=1, changed_at=None)

    assert page.is_valid_for(fresh)
    assert not page.is_valid_for(stale)
    assert document.is_valid_for(stale)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "as_of"),
        ("", "known_at"),
        ("/divergent", "as_of"),
        ("/runs", "started_since"),
        ("/runs", "started_before"),
    ],
)
def test_an_offset_with_an_unencoded_plus_is_read_as_by_the_api(client, conn, path, name):
    add_traced_asset(conn)

    page = Page(client.get(f"/dashboard{path}?{name}=2026-01-31T14:10:00+02:00").text)

    values = [attrs.get("value") for tag, attrs in page.tags if tag == "input"]
    assert "2026-01-31T12:10:00" in values


def test_the_banner_of_the_past_gives_the_time_in_utc(client, conn):
    add_traced_asset(conn)

    text = client.get("/dashboard?as_of=2026-01-31T14:10:00%2B02:00").text

    assert f'<time datetime="{THEN}" data-form="time">2026-01-31 12:10 UTC</time>' in text


def test_a_malformed_time_is_an_error_page_without_a_banner(client):
    answer = client.get("/dashboard?as_of=yesterday")

    assert answer.status_code == 400
    assert "not a time" in answer.text
    assert "The past." not in answer.text
