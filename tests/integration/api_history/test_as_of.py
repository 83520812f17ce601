"""The list of assets, and one of them, as they were at a time."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, update

from shared.schema.market import assets, listings, observations
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load, market, ticker
from tests.fakes.cases import sparse
from tests.fakes.histories import bitcoin
from tests.fakes.past import ELEVEN, TEN, TWELVE, ask, dogecoin, prices
from tests.fakes.reference import follow, plain
from worker.maintenance.reprocess import reprocess

o = observations.c

OF_THE_PRESENT = {"version", "created_at", "updated_at"}


@pytest.fixture
def present(engine):
    """Assets, some divergent, with what is unknown, and several observations of each."""
    for minute in (0, 5, 7):
        at = f"2026-01-02T12:{minute:02}:00Z"
        load(
            engine,
            COINGECKO,
            *(
                market(f"coin-{n}", f"c{n}", f"Coin {n}", n + minute, at, market_cap=n % 3 or None)
                for n in range(1, 12)
            ),
        )
        load(
            engine,
            COINPAPRIKA,
            *(ticker(f"c{n}-coin", f"C{n}", f"Coin {n}", n + minute, at) for n in (1, 4)),
        )


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize(
    "query",
    sparse(
        [
            {},
            {"sort": "name"},
            {"sort": "-price_usd,slug"},
            {"sort": "-source_count,market_cap_usd,-name"},
            {"symbol": "c1,C4,zz"},
            {"source": "coinpaprika"},
            {"divergent": "true"},
            {"divergent": "false", "sort": "slug"},
            {"q": "coin 1"},
            {"q": "1", "sort": "-price_usd"},
            {"min_price_usd": "8", "max_price_usd": "15"},
            {"has": "market_cap_usd", "sort": "price_usd"},
            {"fields": "slug,price_usd,observed_at"},
            {"decimals": "string"},
            {"page": "2", "page_size": "3"},
        ],
        2,
    ),
)
def test_as_of_now_the_list_is_the_present_one(client, query):
    query = {"page_size": 4, **query}
    now = datetime.now(UTC).isoformat()
    if "page" in query:
        past, present = (ask(client, **query, **more)["data"] for more in ({"as_of": now}, {}))
    else:
        past, present = (
            [row for page in follow(client, **query, **more) for row in page["data"]]
            for more in ({"as_of": now}, {})
        )

    assert past
    for row in past + present:
        for name in OF_THE_PRESENT:
            row.pop(name, None)
    assert past == present


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("path", ["/data", "/data/export"])
def test_the_past_comes_in_every_format(client, path):
    query = {"as_of": "2026-01-02T12:05:00Z", "fields": "slug,price_usd,version", "sort": "slug"}
    rows = ask(client, **query)["data"]

    as_csv = client.get(path, query_string={**query, "format": "csv"})
    as_lines = client.get(path, query_string={**query, "format": "ndjson"})

    assert rows[0]["version"] is None
    assert [json.loads(line) for line in as_lines.text.splitlines()] == rows
    assert [*csv.DictReader(io.StringIO(as_csv.text))] == [
        {"slug": row["slug"], "price_usd": str(row["price_usd"]), "version": ""} for row in rows
    ]
    assert as_csv.headers["X-Total-Count"] == str(len(rows))


def test_an_export_of_the_past_notices_what_came_late(engine, client):
    load(engine, COINGECKO, bitcoin(3, TWELVE))
    load(engine, COINGECKO, bitcoin(1, TEN))
    query = {"as_of": ELEVEN, "format": "ndjson", "fields": "price_usd"}

    before = client.get("/data/export", query_string=query)
    load(engine, COINGECKO, bitcoin(2, ELEVEN))
    after = client.get("/data/export", query_string=query)

    assert before.text == '{"price_usd":1}\n'
    assert after.text == '{"price_usd":2}\n'
    assert before.headers["ETag"] != after.headers["ETag"]


def test_an_export_of_the_past_notices_what_was_reprocessed(engine, client):
    load(engine, COINGECKO, bitcoin(1, TEN), bitcoin(3, TWELVE))
    query = {"as_of": ELEVEN, "format": "ndjson", "fields": "price_usd"}
    with engine.begin() as conn:
        conn.execute(
            update(observations).values(price_usd=1.25).where(observations.c.price_usd == 1)
        )

    before = client.get("/data/export", query_string=query)
    reprocess(engine, COINGECKO)
    after = client.get("/data/export", query_string=query)

    assert before.text == '{"price_usd":1.25}\n'
    assert after.text == '{"price_usd":1}\n'
    assert after.headers["Content-Length"] == str(len(after.data))
    assert before.headers["ETag"] != after.headers["ETag"]


def test_a_name_that_came_back_is_that_of_the_present(engine, client):
    names = (("luna", "Terra", TEN), ("lunc", "Terra Classic", ELEVEN), ("luna", "Terra", TWELVE))
    for symbol, name, at in names:
        load(engine, COINGECKO, market("terra", symbol, name, 1, at))

    told = [
        client.get("/data", query_string={"as_of": at, "symbol": symbol}).json["data"]
        for symbol, _, at in names
    ]

    assert [[asset["name"] for asset in assets] for assets in told] == [
        [name] for _, name, _ in names
    ]


def test_what_is_delisted_since_is_in_it_and_what_came_later_is_not(engine, client):
    load(engine, COINGECKO, bitcoin("1.50", TEN), dogecoin(7, TEN))
    load(engine, COINGECKO, bitcoin(2, TWELVE), market("new", "new", "New", 1, TWELVE))

    assert prices(client, as_of=ELEVEN) == {"bitcoin": 1.5, "dogecoin": 7}
    assert prices(client, as_of="2026-01-02T09:59:59.999999Z") == {}
    assert prices(client, as_of=TWELVE) == {"bitcoin": 2, "dogecoin": 7, "new": 1}


def test_a_listing_that_was_last_observed_years_before_is_found(engine, client):
    load(engine, COINGECKO, dogecoin(7, "2014-01-01T00:00:00Z"), bitcoin(2, TEN))

    assert prices(client, as_of=TWELVE) == {"bitcoin": 2, "dogecoin": 7}
    assert prices(client, as_of="2014-01-01T00:00:00Z") == {"dogecoin": 7}


def test_names_are_those_of_then_and_every_name_is_found(engine, client):
    load(engine, COINGECKO, market("terra-luna", "luna", "Terra", 80, TEN))
    load(engine, COINGECKO, market("terra-luna", "lunc", "Terra Classic", 0.1, TWELVE))

    for query in ({}, {"q": "classic"}, {"q": "terra"}, {"symbol": "luna"}):
        [row] = ask(client, as_of=ELEVEN, **query)["data"]
        assert (row["symbol"], row["name"]) == ("LUNA", "Terra")
    assert ask(client, as_of=ELEVEN, symbol="LUNC")["data"] == []
    [row] = ask(client, as_of=TWELVE)["data"]
    assert (row["symbol"], row["name"]) == ("LUNC", "Terra Classic")
    slug = row["slug"]
    assert ask(client, f"/data/{slug}", as_of=ELEVEN)["data"]["listings"][0]["symbol"] == "luna"


def test_history_follows_a_listing_to_its_asset(engine, client, conn):
    load(engine, COINGECKO, bitcoin(1, TEN), dogecoin(7, TEN))
    doge = conn.scalar(select(assets.c.id).where(assets.c.slug == "dogecoin"))
    conn.execute(update(listings).where(listings.c.external_id == "bitcoin").values(asset_id=doge))

    assert [*prices(client, as_of=TEN)] == ["dogecoin"]
    assert len(ask(client, "/data/dogecoin", as_of=TEN)["data"]["listings"]) == 2


def test_a_correction_that_came_late_is_left_out_by_known_at(engine, client, conn):
    load(engine, COINGECKO, bitcoin(1, TEN))
    known = conn.scalar(select(func.max(observations.c.ingested_at))).isoformat()
    load(engine, COINGECKO, bitcoin(2, TEN, market_cap=7))
    load(engine, COINGECKO, bitcoin(3, ELEVEN))
    newest = {"as_of": TWELVE}

    assert prices(client, **newest) == {"bitcoin": 3}
    assert prices(client, **newest, known_at=known) == {"bitcoin": 1}
    assert prices(client, known_at=known) == {"bitcoin": 1}
    assert prices(client, as_of=TEN, known_at="2026-01-02T11:00:00Z") == {}
    [row] = ask(client, as_of=TWELVE, known_at=known)["data"]
    assert row["updated_at"] == plain(datetime.fromisoformat(known))
    detail = ask(client, "/data/bitcoin", as_of=TWELVE, known_at=known)["data"]
    assert [each["price_usd"] for each in detail["listings"]] == [1]


def test_between_two_revisions_of_an_instant_the_price_of_then_is_known(engine, client, conn):
    known = []
    for price in (1, 2, 1, 2, 3, 1):
        load(engine, COINGECKO, bitcoin(price, TEN))
        last = func.max(func.greatest(o.ingested_at, func.upper(o.superseded_before)))
        known.append((conn.scalar(select(last)).isoformat(), price))
        conn.rollback()

    for moment, price in known:
        assert prices(client, as_of=TEN, known_at=moment) == {"bitcoin": price}
        detail = ask(client, "/data/bitcoin", as_of=TEN, known_at=moment)["data"]
        assert [each["price_usd"] for each in detail["listings"]] == [price]
