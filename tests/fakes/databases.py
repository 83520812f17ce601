"""Databases of one's own on the tests' server, and engines on them."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.partitions import periods_of
from shared.tables import RAW, metadata
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream
from worker.identity import decide
from worker.partitions import create_partitions
from worker.verify import Report, verify

_numbers = itertools.count(1)


@contextmanager
def database_copy(
    maintenance: Engine, server: URL, template: str, name: str | None = None
) -> Iterator[URL]:
    """Give a copy of a database, for one `with` block."""
    name = name or f"copy_{next(_numbers)}"
    copy_database(maintenance, name, template)
    try:
        yield server.set(database=name)
    finally:
        drop_database(maintenance, name)


def copy_database(maintenance: Engine, name: str, template: str) -> None:
    """Copy a database to which nothing is connected.

    Copying its files costs a tenth of the default, which writes every page to the WAL.
    """
    with maintenance.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))


def drop_database(maintenance: Engine, name: str) -> None:
    """Drop a database, whatever is connected to it."""
    with maintenance.connect() as conn:
        conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def make_room(url: URL, *instants: datetime) -> None:
    """Make the partitions of every source that instants are in, as a worker does."""
    with engine_on(url) as engine, engine.connect() as conn:
        for source in RAW:
            create_partitions(conn, source, periods_of(instants))


@contextmanager
def engine_on(url: URL) -> Iterator[Engine]:
    """Give an engine on a database, for one `with` block."""
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()


def compare_pairs(engine: Engine) -> None:
    """Compare the pairs that a migration leaves out, as the first batch after it does."""
    with engine.begin() as conn:
        decide.create_touched_keys(conn)
        decide.resolve(conn, None)


def empty(engine: Engine) -> None:
    """Take everything out of a database, as if nothing had ever been loaded."""
    names = ", ".join(table for table in metadata.tables if table != "dataset")
    with engine.begin() as conn:
        conn.execute(text(f"TRUNCATE {names}"))


def report_of_an_unbroken_run(url: URL, assets: int, folder: Path, **settings: object) -> Report:
    """Run every source once, undisturbed, on a market of so many assets; say what is held then."""
    with Upstream(assets=assets) as upstream:
        ran = run_worker("run --once", environ(url, upstream, **settings), folder)
    assert ran.returncode == 0, ran.stderr
    with engine_on(url) as engine:
        return verify(engine)
