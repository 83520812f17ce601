"""Answers of the past: pages, parameters, problems, conditional requests, and cost."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from shared.schema.market import observations
from tests.fakes.api import NOON, add_asset, add_listing, add_observation, api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load, market, ticker
from tests.fakes.histories import bitcoin
from tests.fakes.past import ELEVEN, TEN, TWELVE, ask, dogecoin, prices
from tests.fakes.plans import read_by

MOMENTS = pytest.mark.parametrize("moments", [["as_of"], ["known_at"], ["as_of", "known_at"]])
"""The ways to ask for the past: an answer names the parameters that were given."""


def test_a_walk_through_the_past_shows_what_there_was_when_it_began(engine, client):
    coins = [market(f"coin-{n}", f"c{n}", f"Coin {n}", n, TEN, market_cap=n) for n in range(9)]
    load(engine, COINGECKO, *coins)
    query = {"as_of": TWELVE, "page_size": 2, "sort": "-market_cap_usd"}
    at_first = ask(client, **{**query, "page_size": 100})["data"]
    page = ask(client, **query)
    seen, cursor = page["data"], page["meta"]["next_cursor"]
    number = 0

    while cursor:
        number += 1
        late = [
            market(f"coin-{n}", f"c{n}", f"Coin {n}", 99, ELEVEN, market_cap=100 - n + number)
            for n in range(9)
        ]
        load(engine, COINGECKO, *late, market(f"late-{number}", "l", f"Late {number}", 1, TEN))
        load(engine, COINPAPRIKA, ticker(f"late-{number}", "L", f"Paprika {number}", 1, TEN))
        page = ask(client, **query, cursor=cursor)
        assert page["meta"]["total"] == 9
        seen, cursor = seen + page["data"], page["meta"]["next_cursor"]

    assert seen == at_first
    assert ask(client, **query)["meta"]["total"] == 9 + 2 * number


def test_a_cursor_belongs_to_its_time(engine, client):
    load(engine, COINGECKO, bitcoin(1, TEN), dogecoin(7, TEN))
    cursor = ask(client, as_of=ELEVEN, page_size=1)["meta"]["next_cursor"]

    for query in ({}, {"as_of": TWELVE}, {"as_of": ELEVEN, "known_at": TWELVE}):
        refused = client.get("/data", query_string={**query, "cursor": cursor})
        assert refused.status_code == 400
        assert [error["parameter"] for error in refused.json["errors"]] == ["cursor"]
    same = "2026-01-02T12:00:00+01:00"
    assert ask(client, as_of=same, page_size=1, cursor=cursor)["meta"]["count"] == 1


@pytest.mark.parametrize("path", ["/data", "/data/export", "/data/bitcoin"])
@pytest.mark.parametrize("name", ["as_of", "known_at"])
@pytest.mark.parametrize("value", ["2999-01-01T00:00:00Z", "yesterday", "2026-01-02", "", "0000"])
def test_a_time_that_is_none_or_has_not_come_is_named(client, path, name, value):
    answer = client.get(path, query_string={name: value})

    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json["errors"]] == [name]


def test_the_first_and_the_last_time_of_the_calendar(engine, client):
    load(engine, COINGECKO, bitcoin(1, TEN))

    assert prices(client, as_of="0001-01-01T00:00:00Z") == {}
    assert prices(client, as_of=TWELVE, known_at="0001-01-01T00:00:00Z") == {}


@pytest.mark.parametrize(
    ("name", "value"), [("sort", "version"), ("min_version", "1"), ("max_version", "1")]
)
@MOMENTS
def test_there_are_no_versions_of_the_past(client, name, value, moments):
    answer = client.get("/data", query_string={**dict.fromkeys(moments, TEN), name: value})

    assert answer.status_code == 400
    [error] = answer.json["errors"]
    assert error["parameter"] == name
    assert error["detail"].endswith(f", or omit {' and '.join(moments)}")


@MOMENTS
def test_an_asset_that_was_not_observed_by_then_is_not_found(engine, client, moments):
    load(engine, COINGECKO, bitcoin(1, TEN))

    then = dict.fromkeys(moments, "2026-01-01T00:00:00Z")
    not_yet = client.get("/data/bitcoin", query_string=then)
    never = client.get("/data/nothing", query_string={"as_of": TEN})

    assert (not_yet.status_code, never.status_code) == (404, 404)
    assert not_yet.json["code"] == never.json["code"] == "asset_not_found"
    assert f"by then; it exists without {' and '.join(moments)}" in not_yet.json["detail"]
    assert "by then" not in never.json["detail"]


@pytest.mark.parametrize("path", ["/data", "/data/bitcoin"])
def test_an_answer_is_another_one_only_when_what_it_shows_is(engine, reader_url, path):
    load(engine, COINGECKO, bitcoin(1, TEN), dogecoin(3, TEN))
    query = {"as_of": ELEVEN} if path != "/data" else {"as_of": ELEVEN, "page_size": 1}
    with api_on(reader_url) as client:

        def tag():
            answer = client.get(path, query_string=query)
            assert "Last-Modified" not in answer.headers
            return answer.headers["ETag"]

        first = tag()
        load(engine, COINGECKO, bitcoin(2, TWELVE), market("later", "l", "Later", 1, TWELVE))
        with api_on(reader_url) as fresh:
            again = fresh.get(path, query_string=query, headers={"If-None-Match": first})
        assert again.status_code == 304

        load(engine, COINGECKO, bitcoin("1.25", "2026-01-02T10:30:00Z"))
        with api_on(reader_url) as fresh:
            late = fresh.get(path, query_string=query, headers={"If-None-Match": first})
        assert late.status_code == 200
        assert late.headers["ETag"] != first


def test_the_past_is_looked_up_and_not_read_through(engine, client, conn):
    many = 400
    for number in range(20):
        listing = add_listing(conn, add_asset(conn, f"coin-{number}"), "csv", f"c-{number}")
        conn.execute(
            insert(observations),
            [
                {
                    "listing_id": listing,
                    "observed_at": NOON - timedelta(minutes=5 * each),
                    "ingested_at": NOON,
                    "run_id": 1,
                    "payload_hash": b"x" * 16,
                    "price_usd": Decimal(each),
                }
                for each in range(many)
            ],
        )
    add_observation(conn, listing, observed_at=NOON, price_usd=1)
    conn.exec_driver_sql("VACUUM ANALYZE")

    for as_of in (NOON, NOON - timedelta(minutes=5 * many // 2)):
        rows, _ = read_by(engine, client, "/data", {"as_of": as_of.isoformat()})
        assert 20 <= rows < 20 * 8  # of 8000
