"""An asset's history: pages, formats, conditional requests, and cost."""

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, insert, select

from shared.schema.market import assets, observations
from tests.fakes.api import NOON, add_asset, add_listing, add_observation, api_on
from tests.fakes.api_cache import kept_from_now_on
from tests.fakes.batches import COINGECKO, load
from tests.fakes.cases import sparse
from tests.fakes.histories import PATH, ask, bitcoin, walk
from tests.fakes.plans import read_by


@pytest.mark.parametrize("interval", sparse([None, "1h"], 2))
def test_a_walk_shows_what_there_was_when_it_began(engine, client, interval):
    times = [f"2026-01-02T{hour:02}:00:00Z" for hour in range(10)]
    load(engine, COINGECKO, *(bitcoin(number + 1, time) for number, time in enumerate(times)))
    query = {"start": times[0], "end": "2026-01-03T00:00:00Z", "page_size": 2}
    query |= {"interval": interval} if interval else {}
    at_first, _ = walk(client, **query)

    page = ask(client, decimals="string", **query)
    seen, cursor, number = page["data"], page["meta"]["next_cursor"], 100
    while cursor:
        for time in times:
            number += 1
            load(engine, COINGECKO, bitcoin(number, time.replace(":00:00Z", ":30:00Z")))
        page = ask(client, decimals="string", **query, cursor=cursor)
        seen, cursor = seen + page["data"], page["meta"]["next_cursor"]

    assert seen == at_first
    assert walk(client, **query)[0] != at_first


def test_a_cursor_belongs_to_its_parameters(engine, client):
    load(engine, COINGECKO, *(bitcoin(1, f"2026-01-02T{hour}:00:00Z") for hour in (10, 11, 12)))
    ten = "2026-01-02T10:00:00Z"
    cursors = [
        ask(client, **query, page_size=1)["meta"]["next_cursor"]
        for query in ({"start": ten}, {"interval": "1h", "start": ten})
    ]

    for cursor in cursors:
        for query in ({}, {"interval": "1d"}, {"source": "csv"}, {"end": "2026-01-02T12:00:00Z"}):
            answer = client.get(PATH, query_string={**query, "cursor": cursor})
            assert answer.status_code == 400
            assert [error["parameter"] for error in answer.json["errors"]] == ["cursor"]
    rest = ask(client, start="2026-01-02T11:00:00+01:00", page_size=9, cursor=cursors[0])
    assert rest["meta"]["count"] == 2


def test_links_lead_from_page_to_page(engine, client):
    load(engine, COINGECKO, *(bitcoin(1, f"2026-01-02T{hour}:00:00Z") for hour in (10, 11, 12)))
    answer, met = client.get(PATH, query_string={"page_size": 1}), 0
    while True:
        met += answer.json["meta"]["count"]
        links = {
            each.split("rel=")[1].strip('"'): each.split(">")[0].strip("<")
            for each in answer.headers.getlist("Link")
        }
        if "next" not in links:
            break
        answer = client.get(links["next"])

    assert met == 3
    assert "cursor" not in links["first"]


# --- formats, conditions, cost -------------------------------------------------------------------


@pytest.mark.parametrize("interval", [None, "1h"])
def test_every_format_has_every_digit(client, conn, interval):
    listing = add_listing(conn, add_asset(conn, "bitcoin"), "csv", '=a"b')
    digits = Decimal("1234567890123456789.123456789012345678901234567890")
    add_observation(conn, listing, price_usd=digits, volume_24h_usd=Decimal("1.10"))
    query = {"interval": interval} if interval else {}

    exact = ask(client, **query, decimals="string", page_size=1)["data"]
    as_json = client.get(PATH, query_string={**query, "page_size": 1}).text
    as_csv = client.get(
        PATH, query_string={**query, "page_size": 1, "format": "csv", "bom": "true"}
    )
    as_lines = client.get(PATH, query_string={**query, "page_size": 1, "format": "ndjson"})

    price = "close_usd" if interval else "price_usd"
    assert exact[0][price] == str(digits)
    assert f'"{price}":{digits},' in as_json
    assert f'"{price}":{digits},' in as_lines.text
    assert as_csv.mimetype == "text/csv"
    [row] = csv.DictReader(io.StringIO(as_csv.data.decode("utf-8-sig")))
    assert row[price] == str(digits)
    assert row["volume_24h_usd"] == "1.10"
    assert [*row] == [*json.loads(as_lines.text)]
    if interval:
        assert row["sources"] == "csv"
    else:
        assert row["external_id"] == "'=a\"b"
        assert row["payload_hash"] == exact[0]["payload_hash"]


def test_an_answer_is_another_one_only_when_what_it_shows_is(engine, reader_url):
    load(engine, COINGECKO, *(bitcoin(hour, f"2026-01-02T{hour}:00:00Z") for hour in (10, 11, 12)))
    window = {"start": "2026-01-02T09:00:00Z", "end": "2026-01-02T13:00:00Z", "page_size": 1}

    def again(tag=""):
        with api_on(reader_url) as client:
            return client.get(PATH, query_string=window, headers={"If-None-Match": tag})

    first = again()
    load(engine, COINGECKO, bitcoin(4, "2026-01-03T00:00:00Z"))
    assert "Last-Modified" not in first.headers
    assert again(first.headers["ETag"]).status_code == 304
    load(engine, COINGECKO, bitcoin(5, "2026-01-02T09:30:00Z"))
    assert again(first.headers["ETag"]).status_code == 200


def test_a_kept_answer_is_dropped_when_something_late_comes(engine, reader_url):
    load(engine, COINGECKO, bitcoin(2, "2026-01-02T12:00:00Z"))
    with api_on(reader_url) as client:
        kept_from_now_on(client)
        assert ask(client)["meta"]["count"] == 1
        load(engine, COINGECKO, bitcoin(1, "2026-01-02T11:00:00Z"))
        for _ in range(10_000):
            if ask(client)["meta"]["count"] == 2:
                break
        assert ask(client)["meta"]["count"] == 2


def test_only_the_window_is_read(engine, client, conn):
    several = {}
    for slug in ("bitcoin", "other"):
        asset = add_asset(conn, slug)
        several[slug] = [add_listing(conn, asset, "csv", f"{slug}-{number}") for number in range(2)]
    for ids in several.values():
        for listing in ids:
            rows = [
                {
                    "listing_id": listing,
                    "observed_at": NOON - timedelta(minutes=5 * each),
                    "run_id": 1,
                    "payload_hash": b"x" * 16,
                    "price_usd": Decimal(each + 1),
                }
                for each in range(2000)
            ]
            conn.execute(insert(observations), rows)
    conn.exec_driver_sql("VACUUM ANALYZE")
    hour = {"start": (NOON - timedelta(hours=1)).isoformat(), "end": NOON.isoformat()}

    for query in (hour, {**hour, "interval": "5m"}, {"page_size": 12, **hour}):
        read, _ = read_by(engine, client, PATH, query)
        assert 24 <= read < 300  # of 8000
    assert conn.scalar(select(func.count()).select_from(assets)) == 2
