"""What the tests of the API share: a client of it, and a way to write beside it."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from tests.fakes.api import api_on


@pytest.fixture
def client(reader_url: URL) -> Iterator[FlaskClient]:
    """A client of the API on the test's database."""
    with api_on(reader_url) as client:
        yield client


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    """The owner's connection, on which every statement is committed at once."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        yield conn
