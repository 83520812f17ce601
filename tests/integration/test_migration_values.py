"""A filled database of the revision before, brought to the one that dates values and revisions."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text, update
from sqlalchemy.engine import URL

from shared.tables import RAW, assets, observations
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from worker.migrate import downgrade, upgrade
from worker.verify import verify

NOON = "2026-01-02T12:00:00.000Z"
STALE = "2026-01-02T10:59:59.000Z"


def gecko(price: object, **fields: object) -> bytes:
    return market("bitcoin", "btc", "Bitcoin", price, **fields)


def greatest_hash_last(engine: Engine, *records: bytes) -> None:
    """Load records of one instant so that the one of the greatest hash counts, as it did before."""
    load(engine, COINGECKO, *records)
    raw = RAW["coingecko"].c
    with engine.connect() as conn:
        greatest = conn.scalar(select(raw.payload_hash).order_by(raw.payload_hash.desc()))
        last = conn.scalar(select(raw.payload_hash).where(raw.superseded_at.is_(None)))
    if greatest != last:
        load(engine, COINGECKO, records[0])


@pytest.fixture
def before(engine: Engine, database_url: URL) -> Engine:
    """A database of the revision before, where a stale price stands beside newer records."""
    greatest_hash_last(engine, gecko("null"), gecko("null", market_cap=7))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 5, STALE))
    load(engine, CSV, row("old", "OLD", "Old Coin"))
    downgrade(database_url, "0006")
    with engine.begin() as conn:
        conn.execute(update(assets).where(assets.c.slug == "bitcoin").values(price_usd=5))
    return engine


def test_values_follow_the_rule_and_one_record_of_an_instant_counts(
    before: Engine, database_url: URL, client: FlaskClient
):
    with before.connect() as conn:
        versions = dict(conn.execute(text("SELECT slug, version FROM assets")).all())

    upgrade(database_url)

    assert verify(before, [COINGECKO, COINPAPRIKA, CSV]).findings == ()
    with before.connect() as conn:
        found = {each.slug: each for each in conn.execute(select(assets))}
        superseded = conn.scalars(select(observations.c.superseded_at)).all()
    bitcoin, old = found["bitcoin"], found["old-coin"]
    assert (bitcoin.price_usd, bitcoin.active) == (None, True)
    assert bitcoin.market_cap_observed_at == bitcoin.observed_at
    assert bitcoin.version > versions["bitcoin"]
    assert (old.price_usd, old.version) == (1, versions["old-coin"])
    assert old.price_observed_at == old.observed_at
    assert [each is None for each in superseded].count(False) == 1
    changed = client.get("/changes", query_string={"since": max(versions.values())}).json["data"]
    assert [each["slug"] for each in changed] == ["bitcoin"]


def test_the_migration_can_be_taken_back_and_repeated(before: Engine, database_url: URL):
    upgrade(database_url)
    fingerprint = verify(before).fingerprint

    downgrade(database_url, "0006")
    upgrade(database_url)

    report = verify(before, [COINGECKO, COINPAPRIKA, CSV])
    assert (report.findings, report.fingerprint) == ((), fingerprint)
