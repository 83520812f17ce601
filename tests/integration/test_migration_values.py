"""A filled database of the revision before, brought to the one that dates values and revisions."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from sqlalchemy.engine import URL

from shared.schema.market import assets, observations
from shared.schema.raw import RAW
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from worker.curation.recording import Attribution
from worker.curation.retirements import retire
from worker.maintenance.migrate import downgrade, upgrade
from worker.maintenance.verify import verify

NOON = "2026-01-02T12:00:00.000Z"
STALE = "2026-01-02T10:59:59.000Z"

SHOWN = text("""
SELECT a.slug, a.price_usd, a.market_cap_usd, l.payload_hash
FROM assets AS a JOIN listings AS l ON l.asset_id = a.id ORDER BY l.source DESC
""")
GREATEST_HASH = text("SELECT payload_hash FROM raw_coingecko ORDER BY payload_hash DESC LIMIT 1")


def gecko(price: object, **fields: object) -> bytes:
    return market("bitcoin", "btc", "Bitcoin", price, **fields)


def receive(engine: Engine, one: bytes, other: bytes, *, greatest_last: bool) -> None:
    """Load two records of one instant; the one of the greatest hash counted before the revision."""
    load(engine, COINGECKO, one, other)
    raw = RAW["coingecko"].c
    with engine.connect() as conn:
        greatest = conn.scalar(select(raw.payload_hash).order_by(raw.payload_hash.desc()))
        last = conn.scalar(select(raw.payload_hash).where(raw.superseded_at.is_(None)))
    if (greatest == last) != greatest_last:
        load(engine, COINGECKO, one)


@pytest.fixture
def before(engine: Engine, database_url: URL) -> Engine:
    """A database of the revision before, where a stale price stands beside newer records."""
    receive(engine, gecko("null"), gecko("null", market_cap=7), greatest_last=True)
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 5, STALE))
    load(engine, CSV, row("old", "OLD", "Old Coin"))
    downgrade(database_url, "0006")
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


def test_taken_back_it_leaves_the_values_of_the_revision_before(engine: Engine, database_url: URL):
    receive(engine, gecko("null", market_cap=7), gecko("null", market_cap=8), greatest_last=False)
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 5, STALE))
    load(engine, CSV, row("old", "OLD", "Old Coin"))
    with engine.begin() as conn:
        retire(conn, [("csv", "old")], Attribution("ann", "the file is of 2021"))
        before = conn.scalar(select(assets.c.market_cap_usd).where(assets.c.slug == "bitcoin"))

    downgrade(database_url, "0006")

    with engine.connect() as conn:
        found = {row.slug: row for row in conn.execute(SHOWN)}
        greatest = conn.scalar(GREATEST_HASH)
    assert (found["bitcoin"].price_usd, found["old-coin"].price_usd) == (5, 1)
    assert {found["bitcoin"].market_cap_usd, before} == {7, 8}
    assert found["bitcoin"].payload_hash == greatest
