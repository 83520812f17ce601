"""The pairs of listings after a migration of a database that has none."""

from sqlalchemy import create_engine, func, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.schema.identity import compared_pairs, matches
from tests.fakes.batches import COINGECKO, CSV, load, market, row
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
