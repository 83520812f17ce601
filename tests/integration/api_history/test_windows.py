"""An asset's history: the window, the parameters, and the listings."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from shared.schema.market import listings, observations
from tests.fakes.api import add_asset, add_listing
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load, ticker
from tests.fakes.histories import PATH, ask, bitcoin


def test_without_a_window_it_is_the_newest_that_there_is(engine, client):
    load(engine, COINGECKO, bitcoin(1, "2026-01-01T12:00:00Z"), bitcoin(2, "2026-01-02T11:00:00Z"))
    load(engine, COINGECKO, bitcoin(3, "2026-01-02T12:00:00Z"))

    day = ask(client)
    hours = ask(client, interval="1h", page_size=3)
    after = ask(client, start="2026-06-01T00:00:00Z")
    after_hours = ask(client, start="2026-06-01T00:30:00Z", interval="1h")

    assert [each["price_usd"] for each in day["data"]] == [2, 3]
    assert day["meta"]["end"] == "2026-01-02T12:00:00.000001Z"
    assert [each["close_usd"] for each in hours["data"]] == [None, 2, 3]
    assert hours["meta"]["end"] == "2026-01-02T13:00:00.000000Z"
    assert hours["meta"]["next_cursor"] is None
    assert (after["data"], after_hours["data"]) == ([], [])


def test_a_window_has_its_start_and_not_its_end(engine, client):
    load(engine, COINGECKO, *(bitcoin(hour, f"2026-01-02T{hour}:00:00Z") for hour in (10, 11, 12)))

    found = ask(client, start="2026-01-02T10:00:00Z", end="2026-01-02T12:00:00Z")["data"]
    hours = ask(client, start="2026-01-02T10:59:59Z", end="2026-01-02T12:00:00Z", interval="1h")

    assert [each["price_usd"] for each in found] == [10, 11]
    assert [each["close_usd"] for each in hours["data"]] == [10, 11]


def test_an_asset_of_which_nothing_was_observed_has_no_window(client, conn):
    add_asset(conn, "bitcoin")

    for query in ({}, {"interval": "1d"}):
        answer = ask(client, **query)
        assert (answer["data"], answer["meta"]["start"], answer["meta"]["end"]) == ([], None, None)
    empty_days = ask(
        client, interval="1d", start="2026-01-01T00:00:00Z", end="2026-01-03T00:00:00Z"
    )
    assert [each["sample_count"] for each in empty_days["data"]] == [0, 0]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-02T00:00:00Z"}, ["start"]),
        ({"start": "yesterday"}, ["start"]),
        ({"end": "2026-01-02"}, ["end"]),
        ({"interval": "1 day"}, ["interval"]),
        ({"interval": "2h"}, ["interval"]),
        ({"interval": "1m"}, ["interval"]),
        ({"interval": "5m", "start": "2000-01-01T00:00:00Z"}, ["start"]),
        ({"interval": "1mo", "end": "0001-01-01T00:00:00Z"}, ["end"]),
        ({"interval": "1d", "end": "9999-12-31T23:59:59Z"}, ["end"]),
        ({"end": "0001-01-01T00:00:00Z"}, ["end"]),
        ({"source": "binance"}, ["source"]),
        ({"source": "csv,coingecko"}, ["source"]),
        ({"source": "coingecko_coins"}, ["source"]),
        ({"external_id": ""}, ["external_id"]),
        ({"known_at": "2999-01-01T00:00:00Z"}, ["known_at"]),
        ({"page_size": "1001"}, ["page_size"]),
        ({"page_size": "0"}, ["page_size"]),
        ({"cursor": "abc"}, ["cursor"]),
        ({"format": "parquet"}, ["format"]),
        ({"as_of": "2026-01-02T00:00:00Z"}, ["as_of"]),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(engine, client, query, names):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T12:00:00Z"))

    answer = client.get(PATH, query_string=query)

    assert answer.status_code == 400, answer.text
    assert [error["parameter"] for error in answer.json["errors"]] == names


def test_an_asset_that_there_is_not(client):
    answer = client.get("/data/nothing/history")

    assert answer.status_code == 404
    assert answer.json["code"] == "asset_not_found"


@pytest.mark.parametrize("interval", [None, "1d"])
def test_a_window_that_begins_after_all_that_was_observed_is_empty(engine, client, interval):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T12:00:00Z"))
    given = {"interval": interval} if interval else {}

    for start in ("2026-01-10T00:00:00Z", "2999-01-01T00:00:00Z"):
        found = ask(client, start=start, **given)
        assert found["data"] == []
        assert datetime.fromisoformat(found["meta"]["start"]) == datetime.fromisoformat(start)
        assert found["meta"]["end"] == found["meta"]["start"]
        assert found["meta"]["next_cursor"] is None


@pytest.mark.parametrize("path", ["/data/bitcoin/history", "/data/bitcoin/raw"])
def test_a_listing_that_there_is_not_is_a_problem_that_names_those_there_are(engine, client, path):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T12:00:00Z"))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))
    there = "it has coingecko 'bitcoin', coinpaprika 'btc-bitcoin'"

    for query, such in (
        ({"external_id": "nope"}, "external_id 'nope'"),
        ({"source": "csv"}, "source 'csv'"),
        (
            {"source": "coingecko", "external_id": "btc-bitcoin"},
            "source 'coingecko' and external_id 'btc-bitcoin'",
        ),
    ):
        answer = client.get(path, query_string=query)
        assert (answer.status_code, answer.json["code"]) == (404, "listing_not_found")
        assert answer.json["detail"] == f"'bitcoin' has no listing with {such}; {there}"
    for query in ({"source": "coinpaprika"}, {"external_id": "bitcoin"}):
        assert ask(client, path, **query)["meta"]["count"] == 1


@pytest.mark.parametrize("path", ["/data/bitcoin/history", "/data/bitcoin/raw"])
def test_of_many_listings_a_problem_names_the_first_and_counts_the_others(client, conn, path):
    asset = add_asset(conn, "bitcoin")
    none = client.get(path, query_string={"source": "csv"})
    for number in range(12):
        add_listing(conn, asset, "csv", f"file-{number:02}:btc")
    many = client.get(path, query_string={"external_id": "btc"})

    assert {answer.json["code"] for answer in (none, many)} == {"listing_not_found"}
    assert none.json["detail"].endswith("; it has none")
    assert many.json["detail"].endswith(", csv 'file-09:btc', and 2 more")


def test_history_follows_a_listing_to_its_asset(engine, client, conn):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T12:00:00Z"))
    other = add_asset(conn, "other")
    conn.execute(listings.update().values(asset_id=other))

    assert ask(client)["data"] == []
    [moved] = ask(client, "/data/other/history")["data"]
    assert (moved["external_id"], moved["price_usd"]) == ("bitcoin", 1)


def test_without_an_end_the_window_ends_with_what_was_known(engine, client):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T11:00:00Z"))
    with engine.begin() as conn:
        known = conn.scalar(
            update(observations)
            .values(ingested_at=datetime(2026, 1, 2, 12, tzinfo=UTC))
            .returning(observations.c.ingested_at)
        )
    load(engine, COINGECKO, bitcoin(2, "2026-02-02T11:00:00Z"))

    found = client.get(f"/data/bitcoin/history?known_at={known:%Y-%m-%dT%H:%M:%SZ}").json

    assert [each["price_usd"] for each in found["data"]] == []
    assert found["meta"]["end"] == "2026-01-03T12:00:00.000001Z"
    day = client.get(
        f"/data/bitcoin/history?known_at={known:%Y-%m-%dT%H:%M:%SZ}&start=2026-01-02T00:00:00Z"
    ).json
    assert [each["price_usd"] for each in day["data"]] == [1]
