"""`/trends`: prices, their changes, and a week of points, of many assets at once."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, update

from shared.schema.market import absences, assets, listings, retirements
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load, market, ticker
from tests.fakes.document import check_answer
from tests.fakes.past import ask

END = datetime(2026, 1, 31, 12, tzinfo=UTC)
STEP = timedelta(hours=4)
BITCOIN = ("bitcoin", "btc", "Bitcoin")


def text(at):
    return at.isoformat().replace("+00:00", "Z")


def store(engine, *prices):
    """Load prices of Bitcoin by how long before the end they were observed."""
    load(engine, COINGECKO, *(market(*BITCOIN, price, text(END - age)) for price, age in prices))


def trend(client, **query):
    [found] = ask(client, "/trends", **{"assets": "bitcoin", "decimals": "string", **query})["data"]
    return found


def hours(number):
    return timedelta(hours=number)


def test_a_trend_is_shown_as_described_with_every_digit(client, engine):
    price = "1.000000000000000000000000000001"
    store(engine, ("0.5", hours(168)), ("0.8", hours(24)), (price, hours(0)))

    response = client.get("/trends?assets=bitcoin&decimals=string")

    check_answer(client.get("/openapi.json").json, "/trends", response)
    assert response.json["data"] == [
        {
            "slug": "bitcoin",
            "symbol": "BTC",
            "name": "Bitcoin",
            "price_usd": price,
            "price_observed_at": "2026-01-31T12:00:00.000000Z",
            "observed_at": "2026-01-31T12:00:00.000000Z",
            "change_24h_percent": "25.000000",
            "change_7d_percent": "100.000000",
            "sparkline_7d": [None] * 35 + ["0.8"] + [None] * 5 + [price],
        }
    ]
    numbers = client.get("/trends?assets=bitcoin").text
    assert f'"price_usd":{price},' in numbers
    assert '"change_24h_percent":25.000000,' in numbers


@pytest.mark.parametrize(
    ("age", "change"),
    [
        (hours(24), "100.000000"),
        (hours(25), "100.000000"),
        (hours(25) + timedelta(seconds=1), None),
        (hours(24) - timedelta(seconds=1), None),
    ],
)
def test_a_change_is_not_counted_from_a_price_beyond_the_tolerance(client, engine, age, change):
    store(engine, (1, age), (2, hours(0)))

    assert trend(client)["change_24h_percent"] == change
    assert trend(client)["change_7d_percent"] is None


def test_a_change_from_a_price_of_0_is_null(client, engine):
    store(engine, (0, hours(168)), (0, hours(24)), (2, hours(0)))

    assert trend(client)["change_24h_percent"] is trend(client)["change_7d_percent"] is None


def test_a_point_is_null_where_nothing_was_observed_in_its_four_hours(client, engine):
    store(engine, (1, hours(164)), (2, hours(12)), (3, hours(8) - timedelta(seconds=1)))
    store(engine, (4, hours(0)))

    points = trend(client)["sparkline_7d"]

    assert points == ["1"] + [None] * 37 + ["2", None, "3", "4"]


def test_trends_are_in_the_order_asked_and_missing_slugs_are_named(client, engine):
    load(engine, COINGECKO, *(market(f"coin-{n}", f"c{n}", f"Coin {n}", n) for n in range(1, 4)))

    told = ask(client, "/trends", assets="coin-3,nothing,coin-1,coin-3,Coin-2")

    assert [each["slug"] for each in told["data"]] == ["coin-3", "coin-1"]
    assert told["meta"]["missing"] == ["nothing", "Coin-2"]
    assert told["meta"]["count"] == 2


def test_a_former_slug_is_missing_as_it_is_at_the_route_of_one_asset(client, engine):
    load(engine, COINGECKO, market(*BITCOIN))
    with engine.begin() as conn:
        conn.execute(update(assets).values(slug="btc"))

    assert ask(client, "/trends", assets="bitcoin")["meta"]["missing"] == ["bitcoin"]
    assert client.get("/data/bitcoin").status_code == 404


def test_the_price_of_a_delisted_listing_does_not_count_while_it_is_delisted(client, engine):
    store(engine, *((n, hours(24 - n)) for n in range(0, 25, 4)))
    ref = {"source": "coingecko", "external_id": "bitcoin"}
    with engine.begin() as conn:
        conn.execute(
            insert(absences).values(
                **ref,
                absent_since=END - hours(20),
                snapshot=1,
                delisted_at=END - hours(17),
                returned_at=END - hours(10),
            )
        )
        conn.execute(
            insert(retirements).values(
                id=1, **ref, decided_by="me", reason="r", decided_at=END - hours(5)
            )
        )
        conn.execute(update(listings).values(delisted_at=END - hours(5)))
        conn.execute(update(assets).values(price_usd=None, price_observed_at=None, delisted_at=END))

    told = trend(client)

    assert told["sparkline_7d"][-7:] == [None, "4", None, None, "16", None, None]
    assert told["price_usd"] is told["change_24h_percent"] is None


def test_what_came_late_is_left_out_of_what_was_known(client, engine):
    store(engine, (1, hours(28)), (3, hours(0)))
    known = datetime.now(UTC)
    store(engine, (2, hours(24)))

    assert trend(client)["change_24h_percent"] == "50.000000"
    assert trend(client, known_at=text(known), as_of=text(END))["change_24h_percent"] is None
    assert trend(client, as_of=text(END - hours(3)))["price_usd"] == "2"
    assert ask(client, "/trends", assets="bitcoin", as_of=text(END - hours(29))) | {"meta": 0} == {
        "data": [],
        "meta": 0,
    }


@pytest.mark.parametrize("given", [{}, {"as_of": text(END - hours(30))}])
def test_every_price_is_that_of_the_list_as_of_its_instant(client, engine, given):
    store_two_sources(engine)

    told = trend(client, **given)

    newest = datetime.fromisoformat(told["observed_at"])
    found = [price_as_of(client, newest - STEP * steps) for steps in range(42, -1, -1)]
    points = [price if age < STEP else None for price, age in found]
    assert None in points
    assert told["sparkline_7d"] == points[1:]
    for name, (price, age) in (("24h", found[-7]), ("7d", found[0])):
        change = told[f"change_{name}_percent"]
        moved = (Decimal(told["price_usd"]) / Decimal(price) - 1) * 100
        assert change == (f"{moved:.6f}" if age <= hours(1) else None)


def store_two_sources(engine):
    """Load ten days of prices with gaps, of sources that disagree and are seldom on time."""
    draw = random.Random(15)
    ages = [m for m in draw.sample(range(240 * 60), 200) if not 40 * 60 < m < 60 * 60]
    prices = [(minute, draw.choice([90, 100, 104, 110, 130])) for minute in ages]
    store(engine, *((price, timedelta(minutes=minute)) for minute, price in prices))
    others = [
        ticker(
            "btc-bitcoin",
            "BTC",
            "Bitcoin",
            price + 3,
            text(END - timedelta(minutes=minute + draw.randrange(100))),
        )
        for minute, price in prices[::2]
    ]
    load(engine, COINPAPRIKA, *others)


def price_as_of(client, at):
    """Return Bitcoin's price in `/data` at a time, and how old it was then."""
    fields = "slug,price_usd,price_observed_at"
    [row] = ask(client, as_of=text(at), fields=fields, decimals="string")["data"]
    if row["price_usd"] is None:
        return None, timedelta.max
    return row["price_usd"], at - datetime.fromisoformat(row["price_observed_at"])


def test_a_hundred_assets_are_the_most(client):
    slugs = [f"a{n}" for n in range(101)]

    refused = client.get(f"/trends?assets={','.join(slugs)}")
    assert refused.status_code == 400
    assert refused.json["errors"] == [
        {"parameter": "assets", "detail": "101 values; at most 100 are allowed"}
    ]
    assert client.get("/trends").json["errors"] == [
        {"parameter": "assets", "detail": "is missing; for example assets=bitcoin,ethereum"}
    ]
    assert len(ask(client, "/trends", assets=",".join(slugs[1:]))["meta"]["missing"]) == 100
