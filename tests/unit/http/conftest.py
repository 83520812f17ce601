"""What the tests of the HTTP client share: a server, a clock and a client."""

from collections.abc import Iterator

import pytest

from tests.fakes.http_client import FAST, KEY, Clock
from tests.fakes.rate_limiter import MemoryRateLimiter
from tests.fakes.upstream import Upstream
from worker.fetch.client import Http
from worker.sources.base import Request
from worker.stopping import StopEvent


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(assets=3) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stop() -> StopEvent:
    return StopEvent()


@pytest.fixture
def http(clock: Clock, stop: StopEvent) -> Iterator[Http]:
    with Http(
        "coingecko", MemoryRateLimiter(FAST, clock), stop, clock=clock, wait=clock.wait
    ) as made:
        clock.pauses.clear()
        yield made


@pytest.fixture
def markets(upstream: Upstream) -> Request:
    return Request(
        f"{upstream.coingecko_url}/coins/markets",
        {"vs_currency": "usd", "page": "1"},
        {"x-cg-demo-api-key": KEY},
    )
