"""Runs of one source in this process, with limits and a world of a test's own."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from shared.schema.operations import checkpoints, runs
from tests.fakes.rate_limiter import MemoryRateLimiter
from tests.fakes.upstream import Upstream
from worker.fetch.client import Http, Limits
from worker.ingest import pipeline
from worker.ingest.runs.options import Options, Result
from worker.maintenance.verify import Report, verify
from worker.sources.coingecko import Coingecko
from worker.sources.coingecko_coins import CoingeckoCoins
from worker.sources.coinpaprika import Coinpaprika
from worker.sources.coinpaprika_contracts import CoinpaprikaContracts
from worker.sources.json.api import JsonApi
from worker.stopping import StopEvent

QUICK = Limits(backoff=0.001, longest_backoff=0.001, attempts=3)
ANY_RATE = 1_000_000_000
_numbers = itertools.count(1)


def adapter(name: str, upstream: Upstream, api_key: str | None = None) -> JsonApi:
    """Make a source that asks this upstream."""
    if name == "coingecko":
        return Coingecko(
            base_url=upstream.coingecko_url,
            requests_per_minute=ANY_RATE,
            api_key=api_key,
            plan="demo" if api_key else None,
        )
    if name == "coingecko_coins":
        return CoingeckoCoins(
            base_url=upstream.coingecko_url,
            requests_per_minute=ANY_RATE,
            api_key=api_key,
            plan="demo" if api_key else None,
        )
    if name == "coinpaprika_contracts":
        return CoinpaprikaContracts(
            base_url=upstream.coinpaprika_url, requests_per_minute=ANY_RATE, api_key=api_key
        )
    return Coinpaprika(
        base_url=upstream.coinpaprika_url, requests_per_minute=ANY_RATE, api_key=api_key
    )


@dataclass
class Runner:
    """Runs one source; `pauses` lists the seconds that it would have waited, and did not."""

    engine: Engine
    upstream: Upstream
    name: str
    batch_size: int = 100
    pauses: list[float] = field(default_factory=list)
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the runs, beside the batch size: a clock, faults."""

    def run(self, limits: Limits = QUICK) -> Result:
        source = adapter(self.name, self.upstream)
        rate_limiter = MemoryRateLimiter(ANY_RATE, clock=lambda: float(next(_numbers)))
        stop = StopEvent()
        provider = source.provider
        wait = self.pauses.append
        with Http(self.name, rate_limiter, stop, limits, provider=provider, wait=wait) as fetch:
            return pipeline.run(
                self.engine, source, fetch, Options(self.batch_size, **self.options)
            )

    def checkpoint(self) -> Row:
        return self._read(select(checkpoints).where(checkpoints.c.source == self.name))

    def last_run(self) -> Row:
        newest = runs.c.id.desc()
        return self._read(select(runs).where(runs.c.source == self.name).order_by(newest).limit(1))

    def sound(self) -> Report:
        """Say what the database holds, in which nothing is damaged."""
        report = verify(self.engine)
        assert report.findings == ()
        return report

    def _read(self, stmt) -> Row:
        conn: Connection
        with self.engine.connect() as conn:
            return conn.execute(stmt).one()
