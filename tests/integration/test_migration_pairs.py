"""The pairs of listings after a migration of a database that has none."""

import pytest
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.schema.identity import compared_pairs, crowds, matches
from shared.schema.market import listings
from tests.fakes.batches import COINGECKO, CSV, load, market, row
from worker.curation.corrections import split
from worker.curation.recording import Attribution
from worker.maintenance.migrate import downgrade, upgrade
from worker.maintenance.verify import verify

COINS = [("btc", "Bitcoin"), ("eth", "Ethereum"), ("doge", "Dogecoin")]


def test_every_pair_is_compared_by_the_migration(empty_database_url: URL):
    upgrade(empty_database_url)
    engine = create_engine(empty_database_url, poolclass=NullPool)
    load(engine, COINGECKO, *(market(symbol, symbol, name) for symbol, name in COINS))
    load(engine, CSV, *(row(symbol, symbol, name) for symbol, name in COINS))
    before = verify(engine)
    assert before.findings == ()
    downgrade(empty_database_url, "0007")
    upgrade(empty_database_url)

    with engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(matches)) == len(COINS)
        assert conn.scalar(select(func.count()).select_from(compared_pairs)) == len(COINS)
    assert verify(engine) == before
    engine.dispose()


@pytest.mark.slow
def test_pairs_without_a_match_are_compared_again(empty_database_url: URL):
    upgrade(empty_database_url)
    engine = create_engine(empty_database_url, poolclass=NullPool)
    load(engine, COINGECKO, market("btc", "btc", "Bitcoin"))
    load(engine, CSV, row("btc", "btc", "Bitcoin"))
    with engine.connect() as conn, conn.begin():
        split(conn, ("csv", "btc"), ("coingecko", "btc"), Attribution("ann", "asked"))
    before = verify(engine)
    assert before.findings == ()
    downgrade(empty_database_url, "0012")

    upgrade(empty_database_url)

    with engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(matches)) == 0
        assert conn.scalar(select(func.count()).select_from(compared_pairs)) == 1
        assert conn.scalar(select(func.count()).select_from(crowds)) == 0
    assert verify(engine) == before
    engine.dispose()


@pytest.mark.slow
def test_pairs_of_the_previous_revision_are_compared_again(empty_database_url: URL):
    """Revision 0012 compared more pairs, which `verify` would report."""
    upgrade(empty_database_url)
    engine = create_engine(empty_database_url, poolclass=NullPool)
    load(engine, COINGECKO, *(market(symbol, symbol, name) for symbol, name in COINS))
    load(engine, CSV, *(row(symbol, symbol, name) for symbol, name in COINS))
    before = verify(engine)
    downgrade(empty_database_url, "0012")
    with engine.connect() as conn, conn.begin():
        assert conn.scalar(select(func.count()).select_from(compared_pairs)) == 0
        one, other = conn.scalars(select(listings.c.id).order_by(listings.c.id).limit(2))
        pair = {"listing_id": one, "other_listing_id": other}
        conn.execute(insert(compared_pairs).values(**pair, verdict="unknown", is_shared=False))

    upgrade(empty_database_url)

    assert before.findings == ()
    assert verify(engine) == before
    engine.dispose()
