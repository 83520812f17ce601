"""What the tests of the API share: a client of it."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy.engine import URL

from tests.fakes.api import api_on


@pytest.fixture
def client(request: pytest.FixtureRequest, reader_url: URL) -> Iterator[FlaskClient]:
    """A client of the API on the test's database, with the module's `API_SETTINGS`."""
    with api_on(reader_url, **getattr(request.module, "API_SETTINGS", {})) as client:
        yield client
