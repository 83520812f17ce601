"""What the tests on one database share: a client of the API, and a desk with CSV files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from tests.fakes.api import api_on
from tests.fakes.csv_operator import Desk


@pytest.fixture
def client(request: pytest.FixtureRequest, reader_url: URL) -> Iterator[FlaskClient]:
    """A client of the API on the test's database, with the module's `API_SETTINGS`."""
    with api_on(reader_url, **getattr(request.module, "API_SETTINGS", {})) as client:
        yield client


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    """A desk on the test's database, with an empty folder of files."""
    return Desk(engine, tmp_path)
