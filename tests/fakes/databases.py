"""Databases of one's own on the tests' server, and engines on them."""

import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.schema.raw import RAW
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream
from worker.database.engine import writer_engine
from worker.database.partitions import create_partitions
from worker.database.periods import periods_of
from worker.maintenance.verify import Report, verify

_numbers = itertools.count(1)

FILLED = text("""
SELECT oid::regclass::text, pg_relation_size(oid) > 65536 FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> ALL (:kept)
  AND pg_relation_size(oid) > 0
""")


WITHOUT_AUTOVACUUM = text("""
DO $$ DECLARE each regclass; BEGIN
  FOR each IN SELECT oid FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
  LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', each); END LOOP;
END $$
""")


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


@contextmanager
def open_folder(prefix: str = "kasparro tests ") -> Iterator[Path]:
    """Give a temporary folder that any user can reach; root's server does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def copy_folder(folder: Path, into: Path) -> None:
    """Copy a folder with the owners and modes of its files."""
    subprocess.run(["cp", "-a", str(folder), str(into)], check=True)


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


@contextmanager
def worker_engine_on(url: URL) -> Iterator[Engine]:
    """Give an engine on a database with the settings of a worker's sessions."""
    engine = writer_engine(url, "worker test:1")
    yield engine
    engine.dispose()


def empty(engine: Engine) -> None:
    """Take everything out of a database, as if nothing had ever been loaded."""
    with engine.begin() as conn:
        delete_rows(conn, kept=("alembic_version", "dataset"))


def delete_rows(conn: Connection, kept: Sequence[str] = ()) -> None:
    """Delete the rows of every table that is not kept, past triggers and foreign keys.

    A large table is truncated: each later test would read the pages of its deleted rows. It costs
    more than the few rows of most tests.
    """
    conn.execute(text("SET LOCAL session_replication_role = replica"))
    found = conn.execute(FILLED, {"kept": list(kept)})
    for table, is_large in [*found]:
        conn.execute(text(f"TRUNCATE {table} CASCADE" if is_large else f"DELETE FROM {table}"))


def report_of_an_unbroken_run(url: URL, assets: int, folder: Path, **settings: object) -> Report:
    """Run every source once, undisturbed, on a market of so many assets; say what is held then."""
    with Upstream(assets=assets) as upstream:
        ran = run_worker("run --once", environ(url, upstream, **settings), folder)
    assert ran.returncode == 0, ran.stderr
    with engine_on(url) as engine:
        return verify(engine)
