"""What the tests of faults share: a source with its market loaded, and the market after that."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.fakes.loaded_markets import SIZES, LoadedMarkets
from tests.fakes.source_faults import Place
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import Report


@pytest.fixture(scope="session")
def loaded_markets(server, maintenance_engine, template_database) -> Iterator[LoadedMarkets]:
    """The markets of all tests of a process."""
    markets = LoadedMarkets(maintenance_engine, server.url, template_database)
    yield markets
    markets.drop()


@pytest.fixture
def source(place: Place) -> str:
    """The source that a test breaks, where the test has no parameter of this name."""
    return place.source


@pytest.fixture
def copy(loaded_markets: LoadedMarkets, source: str) -> Iterator[Engine]:
    """A database with the source's market as it was."""
    with loaded_markets.copy(source) as engine:
        yield engine


@pytest.fixture
def unbroken(loaded_markets: LoadedMarkets, source: str) -> Report:
    """What a database holds after a second run that nothing disturbed."""
    return loaded_markets.unbroken(source)


@pytest.fixture
def upstream(source: str) -> Iterator[Upstream]:
    """The same market, five minutes later."""
    with Upstream(assets=SIZES[source]) as upstream:
        upstream.market.tick()
        yield upstream
