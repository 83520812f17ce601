"""Databases of one's own on the tests' server, and engines on them."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.tables import metadata
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream
from worker.verify import Report, verify

_numbers = itertools.count(1)


@contextmanager
def database_copy(
    maintenance: Engine, server: URL, template: str, name: str | None = None
) -> Iterator[URL]:
    """Give a copy of a database, for one `with` block."""
    name = name or f"copy_{next(_numbers)}"
    with maintenance.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield server.set(database=name)
    with maintenance.connect() as conn:
        conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def engine_on(url: URL) -> Iterator[Engine]:
    """Give an engine on a database, for one `with` block."""
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()


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
