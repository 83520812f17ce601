"""What the pairs of listings are after a migration that has none of them."""

from sqlalchemy import create_engine, func, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.tables import compared_pairs, matches
from tests.fakes.batches import COINGECKO, CSV, LATER, load, market, row
from worker.identity.recording import Signed
from worker.identity.retirements import retire
from worker.migrate import downgrade, upgrade
from worker.verify import verify

COINS = [("btc", "Bitcoin"), ("eth", "Ethereum"), ("doge", "Dogecoin")]
ANN = Signed("ann", "it is listed no more")


def test_every_pair_is_compared_though_a_decision_comes_before_the_first_batch(
    empty_database_url: URL,
):
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
        assert conn.scalar(select(func.count()).select_from(compared_pairs)) == 0

    with engine.begin() as conn:
        retire(conn, [("csv", "btc")], ANN)

    with engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(compared_pairs)) == len(COINS)
    load(engine, COINGECKO, market("doge", "doge", "Dogecoin", at=LATER))
    assert verify(engine).findings == ()
    engine.dispose()
