"""What the tests of the JSON sources share: a server and clients of it."""

from collections.abc import Iterator

import pytest

from tests.fakes.rate_limiter import MemoryRateLimiter
from tests.fakes.upstream import Upstream
from worker.fetch.client import Http
from worker.sources.coingecko import Coingecko
from worker.sources.coinpaprika import Coinpaprika
from worker.stopping import StopEvent


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(assets=600) as running:
        yield running


@pytest.fixture
def http() -> Iterator[Http]:
    with Http("coingecko", MemoryRateLimiter(6_000_000), StopEvent()) as made:
        yield made


@pytest.fixture
def coingecko(upstream) -> Coingecko:
    return Coingecko(base_url=upstream.coingecko_url, requests_per_minute=1)


@pytest.fixture
def coinpaprika(upstream) -> Coinpaprika:
    return Coinpaprika(base_url=upstream.coinpaprika_url, requests_per_minute=1)
