"""The rule of unified values, sentence by sentence."""

import json
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from shared.schema.market import assets, listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, NOON, load, market, row, ticker

EARLY = "2026-01-02T11:00:00.000Z"
STALE = "2026-01-02T10:59:59.999Z"


def bitcoin(engine):
    with engine.connect() as conn:
        found = conn.execute(select(assets)).one()
        names = dict(conn.execute(select(listings.c.id, listings.c.source)).all())
    return found, names.get(found.price_usd_listing_id)


def load_three(engine, gecko, paprika, csv, *, gecko_at=NOON, paprika_at=NOON):
    load(engine, CSV, row("btc", price=csv))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", paprika, paprika_at))
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", gecko, gecko_at))


@pytest.mark.parametrize(
    ("prices", "value", "source"),
    [
        ((100, 101, "102"), 101, "coinpaprika"),
        ((102, 101, "100"), 101, "coinpaprika"),
        ((100, 100, "100"), 100, "coinpaprika"),
        ((200, 101, "100"), 100, "csv"),
        ((110, 100, "99"), 100, "coinpaprika"),
        ((0, 101, "100"), 101, "coinpaprika"),
        ((100, 150, "199"), 150, "coinpaprika"),
    ],
    ids=["median", "any order", "tie", "outlier", "at the limit", "zero", "all far"],
)
def test_of_three_fresh_prices_the_median_without_outliers_is_the_value(
    engine, prices, value, source
):
    load_three(engine, *prices)

    found, told_by = bitcoin(engine)

    assert (found.price_usd, told_by) == (value, source)


@pytest.mark.parametrize(
    ("volumes", "value", "source"),
    [
        ((0, 0, "237"), 237, "csv"),
        ((0, 20, ""), 20, "coinpaprika"),
        ((0, 20, "30"), 20, "coinpaprika"),
        ((0, 0, "0"), 0, "coinpaprika"),
    ],
    ids=["two zeros", "the most trusted", "of three", "nothing but zeros"],
)
def test_a_volume_of_0_counts_only_where_no_fresh_source_says_more(engine, volumes, value, source):
    gecko, paprika, csv = volumes
    document = json.loads(row("btc"))
    document["row"]["volume_24h_usd"] = csv
    load(engine, CSV, json.dumps(document).encode())
    told = ticker("btc-bitcoin", "BTC", "Bitcoin").replace(
        b'"volume_24h": 20', b'"volume_24h": %d' % paprika
    )
    load(engine, COINPAPRIKA, told)
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", total_volume=gecko))

    with engine.connect() as conn:
        found = conn.execute(select(assets)).one()
        sources = dict(conn.execute(select(listings.c.id, listings.c.source)).all())
    assert (found.volume_24h_usd, sources[found.volume_24h_usd_listing_id]) == (value, source)


def test_of_two_the_most_trusted_source_tells_the_value_though_the_other_is_newer(engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 100, EARLY))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 104))

    found, told_by = bitcoin(engine)

    assert (found.price_usd, told_by) == (100, "coingecko")
    assert found.price_spread_percent == Decimal("4.000000")


def test_what_is_more_than_an_hour_older_than_the_newest_counts_for_nothing(engine):
    load_three(engine, 500, 101, "100", gecko_at=STALE)

    found, told_by = bitcoin(engine)

    assert (found.price_usd, told_by) == (101, "coinpaprika")
    assert found.price_spread_percent == 1


@pytest.mark.parametrize(("price", "is_divergent"), [(105, False), ("105.01", True)])
def test_an_asset_is_divergent_where_prices_lie_further_apart_than_the_limit(
    engine, price, is_divergent
):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 100, market_cap=2000))
    load(
        engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", "PRICE").replace(
            b'"PRICE"', str(price).encode()
        )
    )  # fmt: skip

    found, _ = bitcoin(engine)

    assert found.divergent is is_divergent


def test_sources_that_disagree_on_market_cap_alone_are_divergent(engine):
    load_three(engine, 100, 100, "100")

    found, _ = bitcoin(engine)

    assert found.divergent
    assert found.price_spread_percent == 0


def test_two_listings_of_one_source_contribute_the_value_of_the_newest(engine):
    load_three(engine, 100, 101, "102")
    load(engine, COINGECKO, market("other", "oth", "Other", 103, "2026-01-02T12:05:00.000Z"))
    with engine.begin() as conn:
        ours = select(listings.c.asset_id).where(listings.c.external_id == "bitcoin")
        conn.execute(update(listings).values(asset_id=ours.scalar_subquery()))
    load(
        engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 101.5, "2026-01-02T12:01:00Z")
    )

    with engine.connect() as conn:
        found = conn.execute(select(assets).where(assets.c.source_count == 3)).one()

    assert found.price_usd == 102
