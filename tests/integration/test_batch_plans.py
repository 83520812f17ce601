"""What a batch reads depends on the batch, and not on what Postgres knows of the tables."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, text

from tests.fakes.batches import COINGECKO, COINPAPRIKA, batch, load, open_run
from tests.fakes.cases import sparse
from tests.fakes.databases import WITHOUT_AUTOVACUUM, database_copy, worker_engine_on
from tests.fakes.market import Coin, Market
from worker.ingest.batch import transaction

COINS = 2000
"""So many that reading a whole table is no way to look up one row."""

BATCH = 100
MOST_SCANS = 20
"""Of a table in a batch: some statements read all of a temporary table, or a small one, once."""

PLANNED_FOR = 3
"""Batches of one record. Queries are planned for the last; see `worker.database.prepared`."""

KNOWN = ["no row", "nothing", "a tenth", "all"]
"""Of how much of the tables Postgres has statistics."""

OFTEN_SCANNED = text("""
SELECT relname, seq_scan FROM pg_stat_user_tables
WHERE seq_scan > :most AND seq_tup_read > 0 ORDER BY relname
""")


class Loaded:
    """A market at two sources of which Postgres knows so much; some coins are not loaded yet."""

    def __init__(self, engine: Engine, known: str) -> None:
        self.engine = engine
        self.market = Market(COINS)
        self.render = {COINGECKO: self.market.market, COINPAPRIKA: self.market.ticker}
        self._execute(WITHOUT_AUTOVACUUM)
        if known == "no row":
            self._analyze()
        for coins in (self.market.coins[BATCH : COINS // 10], self.market.coins[COINS // 10 :]):
            for source, render in self.render.items():
                load(engine, source, *map(render, coins))
            if known == ("a tenth" if len(coins) < COINS // 2 else "all"):
                self._analyze()
        load(engine, COINGECKO, *map(self.market.market, self.market.coins[:BATCH]))

    def often_scanned(self, coins: Sequence[Coin]) -> list[tuple[str, int]]:
        """Load a batch of CoinPaprika's; say which tables were scanned often for it.

        Some records of it go before, each in a batch of its own: what was planned for one record
        is executed for all the others.
        """
        flush = text("SELECT pg_stat_force_next_flush()")
        single, coins = coins[:PLANNED_FOR], coins[PLANNED_FOR:]
        payloads = map(self.market.ticker, coins)
        with self.engine.connect() as conn:
            run_id = open_run(conn, COINPAPRIKA)
            for coin in single:
                alone = batch(COINPAPRIKA, self.market.ticker(coin))
                assert transaction.load_batch(conn, COINPAPRIKA.name, run_id, alone).new == 1
            with conn.begin():
                conn.execute(flush)
            self._execute(text("SELECT pg_stat_reset()"))
            counts = transaction.load_batch(
                conn, COINPAPRIKA.name, run_id, batch(COINPAPRIKA, *payloads)
            )
            assert counts.new == len(coins)
            with conn.begin():
                conn.execute(flush)
            with conn.begin():
                return [tuple(row) for row in conn.execute(OFTEN_SCANNED, {"most": MOST_SCANS})]

    def _analyze(self) -> None:
        self._execute(text("ANALYZE"))

    def _execute(self, statement: object) -> None:
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(statement)


@pytest.mark.parametrize("known", sparse(KNOWN, len(KNOWN)))
def test_a_batch_reads_no_table_once_for_each_record(
    server, maintenance_engine, template_database, known: str
):
    with (
        database_copy(maintenance_engine, server.url, template_database) as url,
        worker_engine_on(url) as engine,
    ):
        loaded = Loaded(engine, known)

        assert loaded.often_scanned(loaded.market.coins[:BATCH]) == []
        loaded.market.tick()
        assert loaded.often_scanned(loaded.market.coins[-BATCH:]) == []
