"""What the tests of outcomes share: a source whose market a test changes."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from shared.settings import Settings
from tests.fakes.cases import sparse
from tests.fakes.market import Market
from tests.fakes.processes import environ
from tests.fakes.source_and_api import SIZE, Scene
from tests.fakes.upstream import Upstream
from worker.app import Worker


@pytest.fixture(params=sparse(["coinpaprika", "coingecko"], 2))
def scene(request, engine: Engine, database_url: URL, reader_url: URL) -> Iterator[Scene]:
    with Upstream(assets=0) as upstream:
        upstream.market = Market(SIZE, at=datetime.now(UTC))
        settings = Settings.from_env(environ(database_url, upstream))
        worker = Worker(settings, database_url)
        worker.engine = engine
        yield Scene(request.param, upstream, worker, reader_url)
