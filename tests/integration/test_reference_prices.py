"""What prices are compared with while a source's prices are shifted."""

import pytest
from sqlalchemy import Engine, select

from shared.schema.operations import runs
from tests.fakes.batches import COINGECKO, LATER, NOON, batch, load, market, open_run
from worker.ingest.batch import transaction


def one(price: object, at: str = NOON) -> bytes:
    return market("bitcoin", "btc", "Bitcoin", price, at)


@pytest.mark.parametrize("said", [(100, 1000), (1000, 100)])
def test_of_one_instant_the_price_that_was_received_last_is_the_reference(
    engine: Engine, said: tuple[int, int]
):
    load(engine, COINGECKO, *(one(price) for price in said))
    with engine.connect() as conn:
        good = conn.scalar(select(runs.c.id))
    load(engine, COINGECKO, one(10**6, "2026-01-02T12:01:00.000Z"))

    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        again = batch(COINGECKO, one(said[-1], LATER), reference_run=good)
        transaction.load_batch(conn, "coingecko", run_id, again)
        counted = select(runs.c.prices_compared, runs.c.prices_jumped).where(runs.c.id == run_id)
        assert conn.execute(counted).one() == (1, 0)
