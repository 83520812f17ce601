"""A real server that the tests of a module share, on a database that they only read."""

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import URL

from shared.embedded.server import READER
from tests.fakes.gunicorn import Gunicorn, serving, until


@pytest.fixture(scope="module")
def shared_gunicorn(
    module_database_url: URL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    """The API as it is usually configured; no test stops it or counts from 0."""
    folder = tmp_path_factory.mktemp("api")
    with serving(module_database_url.set(username=READER), folder) as gunicorn:
        until(lambda: len(gunicorn.workers) == 2)
        yield gunicorn
