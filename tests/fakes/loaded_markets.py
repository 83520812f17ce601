"""Databases in which a source's market is loaded, made once for a process and then copied."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from tests.fakes.databases import copy_database, database_copy, drop_database, engine_on
from tests.fakes.runner import Runner
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import Report

FEW = 60
SIZES = {"coinpaprika": FEW, "coingecko": 560}
"""Coins of a source: CoinPaprika's only page; at CoinGecko two full pages and a third that is not.
"""


class LoadedMarkets:
    """For each source a database with its market, and with few coins of the other source."""

    def __init__(self, maintenance: Engine, server: URL, template: str) -> None:
        self._maintenance = maintenance
        self._server = server
        self._template = template
        self._databases: dict[str, str] = {}
        self._unbroken: dict[str, Report] = {}

    @contextmanager
    def copy(self, source: str) -> Iterator[Engine]:
        """Give a copy of the source's database, for one `with` block."""
        database = self._database(source)
        with (
            database_copy(self._maintenance, self._server, database) as url,
            engine_on(url) as engine,
        ):
            yield engine

    def unbroken(self, source: str) -> Report:
        """Report what the source's database holds after a second run without faults."""
        if source not in self._unbroken:
            with self.copy(source) as engine, Upstream(assets=SIZES[source]) as upstream:
                upstream.market.tick()
                runner = Runner(engine, upstream, source)
                assert runner.run().counts.new == SIZES[source]
                self._unbroken[source] = runner.sound()
        return self._unbroken[source]

    def drop(self) -> None:
        """Drop the databases."""
        for name in self._databases.values():
            drop_database(self._maintenance, name)

    def _database(self, source: str) -> str:
        """Name the source's database; make it on first use."""
        if source not in self._databases:
            name = f"market_of_{source}"
            copy_database(self._maintenance, name, self._template)
            self._databases[source] = name
            with engine_on(self._server.set(database=name)) as engine:
                for each in SIZES:
                    size = SIZES[source] if each == source else FEW
                    with Upstream(assets=size) as upstream:
                        assert Runner(engine, upstream, each).run().counts.new == size
        return self._databases[source]
