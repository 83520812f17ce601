"""What all tests share: one embedded PostgreSQL and one database a process, markers by folder."""

import gc
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.embedded.programs import MAJOR
from shared.embedded.server import READER, EmbeddedPostgres, RunningServer
from tests.fakes.databases import copy_folder, database_copy, make_room, open_folder
from tests.fakes.postgres import Server, absence, running_installed
from tests.fakes.shared_database import SharedDatabase
from worker.maintenance.migrate import upgrade

TESTS = Path(__file__).parent
FOLDERS_WITH_A_MARKER = {"unit", "integration", "acceptance", "faults", "browser", "clients"}
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
TEMPLATE = "test_template"
MAJOR_UNDER_TEST = int(os.environ.get("TEST_POSTGRES", MAJOR))
"""The PostgreSQL that `make test` runs on; others than the embedded one must be installed."""
PAST = [datetime(*month, 1, tzinfo=UTC) for month in ((2025, 1), (2026, 1), (2026, 2))]

# `make test` and `make test-slow` (profile thorough) try the same inputs in every run;
# HYPOTHESIS_PROFILE=random looks for new ones.
hypothesis_settings.register_profile(
    "default", derandomize=True, database=None, deadline=None, print_blob=True, max_examples=20
)
hypothesis_settings.register_profile(
    "thorough", hypothesis_settings.get_profile("default"), max_examples=120
)
hypothesis_settings.register_profile(
    "random", hypothesis_settings.get_profile("thorough"), derandomize=False, max_examples=2000
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    if missing := absence(MAJOR_UNDER_TEST):
        raise pytest.UsageError(f"TEST_POSTGRES={MAJOR_UNDER_TEST}: {missing}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder's name, and those that Hypothesis feeds as `property`."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("property")
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in FOLDERS_WITH_A_MARKER:
            item.add_marker(folder)


def pytest_collection_finish() -> None:
    """Let the garbage collector not look through what was imported again and again."""
    gc.freeze()


@pytest.fixture
def empty_project() -> Iterator[Path]:
    """An empty project folder: a first start of an embedded PostgreSQL makes its data there."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def stopped_server() -> Iterator[Path]:
    """What an embedded PostgreSQL that was started once leaves in a project, to be copied."""
    with open_folder() as folder:
        with EmbeddedPostgres(folder, options=CARELESS).running():
            pass
        yield folder / ".local"


@pytest.fixture
def project(empty_project: Path, stopped_server: Path) -> Path:
    """A project folder for a test that starts an embedded PostgreSQL of its own, not its first."""
    copy_folder(stopped_server, empty_project)
    return empty_project


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer | Server]:
    """One server for all tests of a process."""
    with open_folder() as folder:
        if MAJOR_UNDER_TEST == MAJOR:
            copy_folder(request.getfixturevalue("stopped_server"), folder)
            with EmbeddedPostgres(folder, options=CARELESS).running() as running:
                yield running
        else:
            with running_installed(MAJOR_UNDER_TEST, folder, "C.UTF-8", CARELESS) as running:
                yield running


@pytest.fixture(scope="session")
def maintenance_engine(server: RunningServer) -> Iterator[Engine]:
    """An engine beside the databases under test, for statements on databases."""
    engine = create_engine(
        server.url.set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def template_database(server: RunningServer, maintenance_engine: Engine) -> str:
    """A migrated database that tests are given copies of.

    It has room for what tests put into the tables past the worker.
    """
    with maintenance_engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {TEMPLATE}"))
    url = server.url.set(database=TEMPLATE)
    upgrade(url)
    make_room(url, *PAST)
    return TEMPLATE


@pytest.fixture
def empty_database_url(server: RunningServer, maintenance_engine: Engine) -> Iterator[URL]:
    """A database without a schema, for the tests of the migrations themselves."""
    with database_copy(maintenance_engine, server.url, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def shared_database(
    server: RunningServer, maintenance_engine: Engine, template_database: str
) -> Iterator[SharedDatabase]:
    """The one database that the tests of a process share."""
    shared = SharedDatabase(maintenance_engine, server.url, template_database, "shared")
    yield shared
    shared.drop()


@pytest.fixture
def database_url(shared_database: SharedDatabase) -> Iterator[URL]:
    """A migrated database without data, as its owner sees it; reset after the test."""
    yield shared_database.url
    shared_database.reset()


@pytest.fixture(scope="module")
def module_database_url(
    server: RunningServer, maintenance_engine: Engine, template_database: str
) -> Iterator[URL]:
    """A migrated database for the tests of one module, which only read what the module loads."""
    with database_copy(maintenance_engine, server.url, template_database) as url:
        yield url


@pytest.fixture
def reader_url(database_url: URL) -> URL:
    """The same database as the API's login sees it."""
    return database_url.set(username=READER)


@pytest.fixture
def engine(shared_database: SharedDatabase, database_url: URL) -> Engine:  # noqa: ARG001
    """An engine on the test's database; its sessions stay open for the next test."""
    return shared_database.engine


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    """The owner's connection, on which every statement is committed at once."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        yield conn
