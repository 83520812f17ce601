"""What the tests of history and of the past share: an API without a cache."""

import pytest

from tests.fakes.api import api_on


@pytest.fixture
def client(reader_url):
    """The API as its reader role, keeping nothing."""
    with api_on(reader_url, API_CACHE_MB="0") as client:
        yield client
