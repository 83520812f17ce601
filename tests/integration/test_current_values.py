"""Which values are current, and what is shown of those that are not."""

import json
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from worker.maintenance.verify import verify

NOW = "2026-01-02T12:00:00.000Z"
LIMIT = "2026-01-02T11:00:00.000Z"
STALE = "2026-01-02T10:59:59.000Z"
AGE = 3601
"""Seconds that STALE is before NOW."""


def gecko(price: object = None, at: str = NOW, **fields: object) -> bytes:
    spelled = "null" if price is None else price
    return market("polygon", "pol", "Polygon", spelled, at, **fields)


def paprika(price: object, at: str) -> bytes:
    return ticker("pol-polygon", "POL", "Polygon", price, at)


def from_file(price: str, at: str, namespace: str = "", **cells: str) -> bytes:
    document = json.loads(row("polygon", "POL", "Polygon", price))
    document["row"] |= {"last_updated": at, **cells}
    if namespace:
        document["declared"] = {"namespace": namespace}
    return json.dumps(document).encode()


def listed(client: FlaskClient, **query: str) -> dict:
    [asset] = client.get("/data", query_string={"decimals": "string", **query}).json["data"]
    return asset


def detail(client: FlaskClient, **query: str) -> dict:
    return client.get("/data/polygon", query_string=query).json["data"]


@pytest.fixture(autouse=True)
def sound(engine: Engine):
    yield
    assert verify(engine, [COINGECKO, COINPAPRIKA, CSV]).findings == ()


@pytest.mark.parametrize(("at", "price"), [(LIMIT, "1.07"), (STALE, None)])
def test_a_value_is_current_while_it_is_at_most_an_hour_older_than_the_newest_record(
    engine: Engine, client: FlaskClient, at: str, price: str | None
):
    load(engine, CSV, from_file("1.07", at))
    load(engine, COINGECKO, gecko(None))

    asset = listed(client)

    assert asset["price_usd"] == price
    assert asset["observed_at"] == "2026-01-02T12:00:00.000000Z"
    assert asset["market_cap_usd"] == "1000"


def test_an_asset_shows_the_last_known_value_with_its_own_time(engine: Engine, client: FlaskClient):
    load(engine, CSV, from_file("1.07", STALE))
    load(engine, COINGECKO, gecko(None, market_cap=500))

    asset = detail(client)

    assert (asset["price_usd"], asset["provenance"]["price_usd"]) == (None, None)
    last = asset["values"]["price_usd"]
    assert (last["value"], last["current"], last["chosen_as"]) == (1.07, False, "last_known")
    assert (last["observed_at"], last["behind_seconds"]) == ("2026-01-02T10:59:59.000000Z", AGE)
    assert (last["source"], last["fresh_sources"], last["outliers"]) == ("csv", 0, [])
    cap = asset["values"]["market_cap_usd"]
    assert (cap["value"], cap["current"], cap["behind_seconds"]) == (500, True, 0)
    assert asset["values"]["max_supply"] is None


@pytest.mark.parametrize("batches", [1, 2])
def test_a_listing_whose_newest_record_says_null_says_null(
    engine: Engine, client: FlaskClient, batches: int
):
    records = [gecko(5, STALE), gecko(None)]
    for batch in (records,) if batches == 1 else ([each] for each in records):
        load(engine, COINGECKO, *batch)

    asset = detail(client)

    assert asset["price_usd"] is asset["values"]["price_usd"] is None


def test_an_older_listing_of_another_file_does_not_fill_in(engine: Engine, client: FlaskClient):
    old = "2011-09-13T13:00:00.000Z"
    load(engine, CSV, from_file("4.39", old, "minutes"))
    load(engine, CSV, from_file("", "2020-10-13T00:00:00.000Z", volume_24h_usd="10"))

    assert [
        (asset["price_usd"], asset["price_observed_at"])
        for query in ({}, {"as_of": "2020-10-13T00:00:00Z"})
        for asset in [listed(client, fields="price_usd,price_observed_at", **query)]
    ] == [(None, None)] * 2
    then = listed(client, as_of="2011-09-13T14:00:00Z", fields="price_usd,price_observed_at")
    assert then == {"price_usd": "4.39", "price_observed_at": "2011-09-13T13:00:00.000000Z"}


def test_each_value_can_be_shown_with_its_own_time(engine: Engine, client: FlaskClient):
    load(engine, COINPAPRIKA, paprika(2, LIMIT))
    load(engine, COINGECKO, gecko(None))
    times = ("price_observed_at", "market_cap_observed_at", "max_supply_observed_at")

    asset = listed(client, fields=",".join(("price_usd", *times)))

    assert asset == {
        "price_usd": "2",
        "price_observed_at": "2026-01-02T11:00:00.000000Z",
        "market_cap_observed_at": "2026-01-02T12:00:00.000000Z",
        "max_supply_observed_at": None,
    }
    assert set(times).isdisjoint(listed(client))


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_exports_have_the_same_values_and_times(engine: Engine, client: FlaskClient, form: str):
    load(engine, CSV, from_file("1.07", STALE))
    load(engine, COINGECKO, gecko(None))
    fields = "slug,price_usd,price_observed_at,market_cap_usd,market_cap_observed_at,active"

    answer = client.get("/data/export", query_string={"format": form, "fields": fields})

    assert answer.status_code == 200
    if form == "csv":
        values = '"polygon",,,1000,2026-01-02T12:00:00.000000Z,true'
        assert answer.text.splitlines()[1] == values
        return
    if form == "ndjson":
        [asset] = map(json.loads, answer.text.splitlines())
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        pyarrow = pytest.importorskip("pyarrow")
        [asset] = parquet.read_table(pyarrow.BufferReader(answer.data)).to_pylist()
        assert asset["market_cap_observed_at"] == datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert (asset["price_usd"], asset["price_observed_at"]) == (None, None)
    assert (asset["active"], asset["market_cap_usd"] in {1000, "1000"}) == (True, True)


def test_changes_tell_when_a_value_stops_being_current(engine: Engine, client: FlaskClient):
    load(engine, CSV, from_file("1.07", LIMIT))
    load(engine, COINGECKO, gecko(None))
    [first] = client.get("/changes").json["data"]
    assert first["asset"]["price_usd"] == 1.07

    load(engine, COINGECKO, gecko(None, "2026-01-02T12:05:00.000Z"))

    [then] = client.get("/changes", query_string={"since": first["version"]}).json["data"]
    assert then["asset"]["price_usd"] is None


def test_a_candle_has_no_volume_that_is_older_than_its_last_price(
    engine: Engine, client: FlaskClient
):
    load(engine, COINGECKO, gecko(1, STALE), gecko(2, NOW, total_volume=None))

    day = client.get(
        "/data/polygon/history",
        query_string={"interval": "1d", "start": "2026-01-02T00:00:00Z", "page_size": 1},
    ).json["data"][0]

    assert (day["open_usd"], day["close_usd"], day["volume_24h_usd"]) == (1, 2, None)
    hour = client.get(
        "/data/polygon/history",
        query_string={"interval": "1h", "start": "2026-01-02T10:00:00Z", "page_size": 1},
    ).json["data"][0]
    assert (hour["close_usd"], hour["volume_24h_usd"]) == (1, 10)


def test_candles_and_history_know_which_record_of_an_instant_counts(
    engine: Engine, client: FlaskClient
):
    for price in (2, 2000, 2):
        load(engine, COINGECKO, gecko(price))

    candle = client.get(
        "/data/polygon/history",
        query_string={"interval": "1h", "start": "2026-01-02T12:00:00Z", "page_size": 1},
    ).json["data"][0]
    history = client.get("/data/polygon/history").json["data"]
    raw = client.get(
        "/data/polygon/raw", query_string={"observed_at": "2026-01-02T12:00:00Z"}
    ).json["data"]

    assert (candle["high_usd"], candle["sample_count"]) == (2, 1)
    assert {each["price_usd"]: each["superseded_at"] is None for each in history} == {
        2: True,
        2000: False,
    }
    assert [each["payload"]["current_price"] for each in raw] == [2]


def test_what_was_known_at_a_time_is_what_counted_then(engine: Engine, client: FlaskClient):
    known = []
    for price in (2, 2000, 2):
        load(engine, COINGECKO, gecko(price))
        known.append(datetime.now(UTC).isoformat())

    shown = [listed(client, as_of="2026-01-02T13:00:00Z", known_at=at)["price_usd"] for at in known]

    assert shown == ["2", "2000", "2"]
