"""The pages on quality: rejects, drift, divergent assets and identity reviews."""

from decimal import Decimal

import pytest
from sqlalchemy import text as sql

from shared.schema.market import assets
from tests.fakes.api import NOON, add_asset, add_drift, add_reject, add_run
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load, market, ticker
from tests.fakes.pages import HOSTILE, shown

MANY_REJECTS = sql("""
INSERT INTO rejects (source, position, reasons, payload, payload_hash, first_run_id, last_run_id,
                     first_seen_at, last_seen_at)
SELECT 'csv', 'row ' || n, '["id: missing"]', '', decode(md5(CAST(n AS text)), 'hex'), 1, 1,
       now(), now()
FROM generate_series(1, 10000) AS n
""")


def test_without_data_the_pages_say_that_nothing_is_open(client):
    overview = shown(client, "/quality")

    assert "No record is refused." in overview
    assert "No asset is listed by two sources yet." in overview
    assert "No open rejects" in shown(client, "/rejects")
    assert "No reject passes" in shown(client, "/rejects?source=csv")
    assert "No rejects of this state" in shown(client, "/rejects?state=dismissed")
    assert "No open drift" in shown(client, "/drift")
    assert "No difference passes" in shown(client, "/drift?source=csv")
    assert "The sample data, for example, is one file" in shown(client, "/divergent")
    assert "No pair waits" in shown(client, "/reviews")
    assert "No pair passes" in shown(client, "/reviews?asset=bitcoin")


def test_the_overview_counts_what_is_open(client, engine):
    with engine.begin() as conn:
        for payload in (b"1", b"2"):
            add_reject(conn, payload)
        add_reject(conn, b"3", resolved_at=NOON)
        add_drift(conn, "a")
        add_asset(conn, "odd", divergent=True)

    text = shown(client, "/quality")

    assert '<strong class="figure">2</strong> records are refused' in text
    assert '<strong class="figure">1</strong> difference in' in text
    assert '<strong class="figure">1</strong> asset has' in text
    assert "No pair of listings waits" in text


def test_rejects_are_counted_by_reason_and_shown_with_their_payloads(client, engine):
    with engine.begin() as conn:
        add_reject(conn, b'{"id":"bitcoin","current_price":-1.50}', last_run_id=2)
        add_reject(conn, b"2", reasons=["id: not text: 7"])

    text = shown(client, "/rejects")
    chosen = shown(client, "/rejects?reason=current_price&state=open&run_id=2&source=coingecko")

    assert "reason=current_price%3A+negative" in text
    assert "&#34;current_price&#34;: -1.50" in text
    assert 'href="/dashboard/runs/2"' in text
    assert "Reject 1" in chosen
    assert "Reject 2" not in chosen


def test_rejects_are_paged(client, engine):
    with engine.begin() as conn:
        for payload in (b"1", b"2", b"3"):
            add_reject(conn, payload)

    first = shown(client, "/rejects?page_size=2")
    following = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")

    assert "Reject 1<" not in first
    assert "By reason" in first
    second = client.get(following).text
    assert "Reject 1<" in second
    assert "By reason" not in second


def test_the_newest_rejects_are_counted_by_reason(client, engine):
    with engine.begin() as conn:
        add_reject(conn, b"old", reasons=["id: not text: 7"])
        conn.execute(MANY_REJECTS)

    text = shown(client, "/rejects")
    reasons = client.get("/rejects/reasons").json["data"]

    assert "Only the newest 10,000 records are counted." in text
    assert [(each["reason"], each["rejects"]) for each in reasons] == [("id: missing", 10_000)]


def test_a_reject_is_shown_as_it_was_received(client, engine):
    with engine.begin() as conn:
        text = add_reject(
            conn, f'{{"name":"{HOSTILE}"'.encode(), external_id=HOSTILE, reasons=[HOSTILE]
        )
        odd = add_reject(conn, b"\xff\x00\x1b", external_id=None, position=HOSTILE)
        large = add_reject(conn, b"x" * 110_000)
        closed = add_reject(
            conn, b"closed", resolved_at=NOON, dismissed_by=HOSTILE, dismissed_reason=HOSTILE
        )

    page = shown(client, f"/rejects/{text}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert f"worker rejects retry {text}" in page
    assert "\ufffd\u2400\u241b" in shown(client, f"/rejects/{odd}")
    assert f"worker rejects show {large} --payload" in shown(client, f"/rejects/{large}")
    assert "Dismissed by" in shown(client, f"/rejects/{closed}")
    assert "Show all" in shown(client, "/rejects")
    assert "Not found" in shown(client, "/rejects/99", 404)


def test_drift_is_a_ledger_with_the_command_that_accepts_it(client, engine):
    with engine.begin() as conn:
        made = add_drift(conn, HOSTILE, detail={"type": HOSTILE})
        add_drift(conn, "old", acknowledged_at=NOON)

    text = shown(client, "/drift")
    everything = shown(client, "/drift?state=all&source=coingecko")

    assert "<code>&lt;script&gt;alert(1)" in text
    assert f"worker drift ack {made}" in text
    assert "25.0 %" in text
    assert ">old<" not in text
    assert ">old<" in everything


def test_divergent_assets_are_shown_with_how_far_their_prices_lie_apart(client, engine):
    with engine.begin() as conn:
        add_asset(conn, "odd", name=HOSTILE, divergent=True, price_spread_percent=Decimal("12.5"))
        add_asset(conn, "odder", divergent=True, price_spread_percent=Decimal(80))
        add_asset(conn, "even")

    text = shown(client, "/divergent")

    assert "2 assets have" in text
    assert text.index("/assets/odder#sources-title") < text.index("/assets/odd#sources-title")
    assert "12.50 %" in text
    assert "/assets/even" not in text
    assert "Page 1 of 2" in shown(client, "/divergent?page_size=1")
    assert "/assets/odd#" in shown(client, "/divergent?page_size=1&page=2")
    assert "This page is empty" in shown(client, "/divergent?page=3")


def test_if_several_sources_list_an_asset_and_agree_the_pages_say_so(client, engine):
    with engine.begin() as conn:
        add_asset(conn, "even", source_count=2)

    assert "The fresh sources of every asset agree." in shown(client, "/quality")
    assert "No asset diverges" in shown(client, "/divergent")


def test_divergent_assets_of_the_past_say_so(client, engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 100))

    text = shown(client, "/divergent?as_of=2026-01-31T12:00")

    assert "The past." in text
    assert "at that time" in text


@pytest.mark.parametrize("name", ["Meta", HOSTILE[:250]])
def test_a_review_has_both_listings_side_by_side_and_the_commands(client, engine, name):
    load(engine, COINGECKO, market("meta-1", "meta", name, 1), market("meta 2", "meta", name, 2))
    load(engine, COINPAPRIKA, ticker("meta-meta", "META", name, 1))

    told = client.get("/reviews").json["data"]
    text = shown(client, "/reviews")

    assert told
    for review in told:
        for command in ("one_coin", "two_coins"):
            written = review["commands"][command].replace("&", "&amp;").replace("'", "&#39;")
            assert f"<code>{written}</code>" in text
        assert f'href="/dashboard/assets/{review["one"]["asset"]}"' in text
    assert "No pair passes" in shown(client, "/reviews?open=false")
    assert "No pair passes" not in shown(client, "/reviews?open=true&source=coinpaprika&asset=")


def test_what_is_decided_is_shown_at_once(client, engine):
    with engine.begin() as conn:
        run = add_run(conn)
        conn.execute(assets.insert().values(slug="a", symbol="A", name="A", divergent=True))
    assert "1</strong> asset has" in shown(client, "/quality")
    assert shown(client, f"/rejects?run_id={run}")
