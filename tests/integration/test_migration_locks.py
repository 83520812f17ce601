"""Migrations beside sessions that read, and beside workers of the release before."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from migrations.locking import lock_exclusively
from shared.errors import LockedError, MarketDataError
from shared.schema.base import SCHEMA_REVISION
from tests.fakes.batches import COINGECKO, load, market
from tests.fakes.cases import sparse
from worker.database.locks import locked, worker_name
from worker.maintenance.migrate import downgrade, require_schema, upgrade
from worker.maintenance.verify import verify

WAITS = text("""
SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE NOT l.granted AND a.application_name = 'kasparro migrate' AND a.datname = current_database()
""")


@pytest.fixture
def before(engine: Engine, database_url: URL) -> Engine:
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))
    downgrade(database_url, "0005")
    return engine


@contextmanager
def migrating(url: URL) -> Iterator[list[MarketDataError]]:
    """Migrate beside the `with` block, and have it end after; what went wrong is in the list."""
    failed: list[MarketDataError] = []

    def migrate() -> None:
        try:
            upgrade(url)
        except MarketDataError as exc:
            failed.append(exc)

    thread = threading.Thread(target=migrate)
    thread.start()
    try:
        yield failed
    finally:
        thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("held", "asked"),
    sparse(
        [
            ("assets", "observations"),
            ("observations", "assets"),
            ("runs", "raw_coingecko"),
            ("runs", "request_budgets"),
            ("matches", "runs"),
            ("shapes", "rejects"),
        ],
        2,
    ),
)
def test_a_reader_and_a_migration_never_wait_for_each_other(
    before: Engine, database_url: URL, reader_url: URL, held: str, asked: str
):
    engines = [create_engine(url, poolclass=NullPool) for url in (reader_url, database_url)]
    with engines[0].connect() as reader, engines[1].connect() as watch:
        reader.execute(text("SET statement_timeout = '20s'"))
        reader.execute(text(f"SELECT count(*) FROM {held}"))
        with migrating(database_url) as failed:
            try:
                give_up = time.monotonic() + 30
                while not failed and not watch.scalar(WAITS) and time.monotonic() < give_up:
                    watch.rollback()
                reader.execute(text(f"SELECT count(*) FROM {asked}"))
            finally:
                reader.rollback()

    assert failed == []
    assert require_schema(database_url) == SCHEMA_REVISION
    assert verify(before, [COINGECKO]).findings == ()


@pytest.mark.usefixtures("before")
def test_a_migration_is_refused_while_a_worker_is_at_a_source(database_url: URL):
    named = create_engine(
        database_url, poolclass=NullPool, connect_args={"application_name": worker_name()}
    )
    with (
        locked(named, "csv"),
        pytest.raises(LockedError, match=r"csv: locked by worker .* stop all workers"),
    ):
        upgrade(database_url)

    upgrade(database_url)
    with locked(named, "csv"):
        upgrade(database_url)  # there is nothing to migrate, so nothing is in the way


def test_no_worker_gets_at_a_source_while_a_migration_goes_on(before: Engine, database_url: URL):
    with before.connect() as reader:
        reader.execute(text("SELECT count(*) FROM assets"))
        with migrating(database_url) as failed:
            try:
                with create_engine(database_url, poolclass=NullPool).connect() as watch:
                    while not failed and not watch.scalar(WAITS):
                        watch.rollback()
                with (
                    pytest.raises(LockedError, match="locked by kasparro migrate"),
                    locked(before, "coingecko"),
                ):
                    pass
            finally:
                reader.rollback()
    assert failed == []


def test_the_locks_of_a_migration_leave_its_own_timeout(engine: Engine):
    with engine.begin() as conn, Operations.context(MigrationContext.configure(conn)):
        conn.execute(text("SET LOCAL lock_timeout = '10s'"))
        lock_exclusively("assets", "listings")

        assert conn.scalar(text("SHOW lock_timeout")) == "10s"
