"""Migrates the database schema, one process at a time."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ProgrammingError

from shared.errors import ConfigurationError, LockedError, SchemaVersionError
from shared.schema.base import READER_ROLE, SCHEMA_REVISION
from shared.schema.raw import EVERY_RAW
from worker.database.engine import reachable, writer_engine
from worker.database.locks import lock_identity, lock_source
from worker.identity.pairs import must_compare_all_pairs
from worker.ingest.batch.apply_decisions import decide_listings

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

# A lock of the session, not of the transaction: a migration may commit in between.
LOCK_MIGRATIONS = text("SELECT pg_advisory_lock(hashtext('kasparro migrations'))")

UNLOCK = text("SELECT pg_advisory_unlock_all()")

# A statement that waits for a reader gives up, because new readers would queue behind it.
SET_TIMEOUTS = text("SET lock_timeout = '10s'; SET statement_timeout = '15min'")
SET_WAIT = text("SET lock_timeout = '5min'")

READ_ENCODING = text("SELECT current_database(), current_setting('server_encoding')")

CREATE_LOGIN = text("""
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', CAST(:name AS text), CAST(:password AS text))
""")
GRANT_READER = text("SELECT format('GRANT %I TO %I', CAST(:role AS text), CAST(:name AS text))")
ROLE_EXISTS = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)")
IS_MEMBER = text("SELECT pg_has_role(:name, :role, 'MEMBER')")


def alembic_config() -> Config:
    """Return Alembic's configuration for this project's migrations."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def upgrade(url: URL, revision: str = "head") -> None:
    """Migrate up to the revision. Safe to repeat and to run in two processes at once.

    At the newest revision identity decides for all listings if no pair was compared yet.

    Raises:
        LockedError: a migration is needed while a worker is reading a source; nothing was done.
        ConfigurationError: the database cannot store every character.
    """
    _run(_upgrade, url, revision)


def _upgrade(config: Config, revision: str) -> None:
    conn: Connection = config.attributes["connection"]
    command.upgrade(config, revision)
    if revision == "head" and must_compare_all_pairs(conn):
        conn.execute(SET_WAIT)  # a batch may hold the identity lock until it commits
        lock_identity(conn)
        decide_listings(conn, [])


def require_schema(url: URL) -> str:
    """Return the database's revision.

    Raises:
        SchemaVersionError: it is not the one that this release requires.
    """
    engine = writer_engine(url, "worker")
    with reachable(), engine.connect() as conn:
        found = MigrationContext.configure(conn).get_current_revision()
    if found != SCHEMA_REVISION:
        raise SchemaVersionError(
            f"the database schema is at revision {found!r}, but this release requires "
            f"{SCHEMA_REVISION!r}; run `worker migrate`"
        )
    return SCHEMA_REVISION


def downgrade(url: URL, revision: str) -> None:
    """Migrate down to the revision; "base" removes all tables."""
    _run(command.downgrade, url, revision)


def _run(step: Callable[[Config, str], None], url: URL, revision: str) -> None:
    engine = writer_engine(url, "kasparro migrate")
    try:
        with reachable(), engine.connect() as conn:
            _require_utf8(conn)
            conn.execute(SET_WAIT)
            conn.execute(LOCK_MIGRATIONS)
            conn.execute(SET_TIMEOUTS)
            conn.commit()
            config = alembic_config()
            config.attributes["connection"] = conn
            if not _is_at(conn, config, revision):
                _lock_sources(conn)
            step(config, revision)
            conn.commit()
            conn.execute(UNLOCK)  # the server notices the end of a session only moments later
    finally:
        engine.dispose()


def _require_utf8(conn: Connection) -> None:
    with conn.begin():
        name, encoding = conn.execute(READ_ENCODING).one()
    if encoding != "UTF8":
        raise ConfigurationError(
            f"DATABASE_URL: database {name!r} has the encoding {encoding}; UTF8 is required, "
            "because names may have any character. Create another database with CREATE DATABASE … "
            "ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0. How to keep the data: "
            "worker/troubleshooting.md"
        )


def _is_at(conn: Connection, config: Config, revision: str) -> bool:
    target = ScriptDirectory.from_config(config).get_revision(revision)
    with conn.begin():
        current = MigrationContext.configure(conn).get_current_revision()
    return current == (target.revision if target else None)


def _lock_sources(conn: Connection) -> None:
    """Lock all sources until this session ends.

    Otherwise a run that started before the migration could write rows of the old schema.
    """
    for source in EVERY_RAW:
        try:
            lock_source(conn, source)
        except LockedError as exc:
            raise LockedError(
                f"{exc}. Nothing was migrated; stop all workers, then run `worker migrate` again"
            ) from exc


def ensure_reader_login(url: URL, login: URL) -> bool:
    """Create the login of `API_DATABASE_URL` as a member of the reader role.

    An existing login keeps its password. Returns whether the login was created.

    Raises:
        ConfigurationError: the login is the owner, or may not be created by this user.
    """
    name = login.username
    if not name or name == url.username:
        raise ConfigurationError(
            f"API_DATABASE_URL: user {name!r} owns the tables; use another name, which is created "
            "with read-only privileges"
        )
    engine = writer_engine(url, "kasparro migrate")
    with reachable(), engine.begin() as conn:
        created = not conn.scalar(ROLE_EXISTS, {"name": name})
        if created:
            _create_login(conn, name, login.password)
        if not conn.scalar(IS_MEMBER, {"name": name, "role": READER_ROLE}):
            grant = conn.scalar(GRANT_READER, {"role": READER_ROLE, "name": name})
            conn.execute(text(str(grant)))
    engine.dispose()
    return created


def _create_login(conn: Connection, name: str, password: str | None) -> None:
    """Create the login; Postgres quotes name and password with `format`."""
    statement = conn.scalar(CREATE_LOGIN, {"name": name, "password": password or ""})
    try:
        conn.exec_driver_sql(str(statement).replace("%", "%%"))
    except ProgrammingError as exc:
        raise ConfigurationError(
            f"API_DATABASE_URL: login {name!r} does not exist, and this user may not create it; "
            f"as an administrator, create it and GRANT {READER_ROLE} TO it"
        ) from exc
