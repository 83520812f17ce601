"""The worker's database engine, and the translation of Postgres errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from shared.errors import DatabaseRefusedError, DatabaseUnavailableError

WORKER_OPTIONS = (
    "-c timezone=UTC -c random_page_cost=1.1 -c plan_cache_mode=force_generic_plan"
    " -c lock_timeout=30s"
    " -c idle_in_transaction_session_timeout=5min"
    " -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
    " -c client_connection_check_interval=1s"
)
"""Session settings of the worker.

- `lock_timeout`: a run fails instead of waiting for a lock forever.
- `random_page_cost`: with the default, which is meant for disks, Postgres would read all assets for
  each batch instead of looking up a thousand by key.
- `plan_cache_mode`: a prepared statement has one plan for all values.
- Keepalives and `client_connection_check_interval`: the server detects a lost worker also during a
  statement. It releases the session's locks within seconds, or a minute after a network failure.
"""

CONNECTION_SETTINGS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""Timeout and keepalives of connections; settings in the URL take precedence."""

UNAVAILABLE = frozenset({"25006", "53300", "57P01", "57P02", "57P03", "57P05"})
"""SQLSTATEs of an unavailable server: standby, too many connections, stopping, crashed, starting.

All SQLSTATEs of class 08 mean the same.
"""

REFUSALS = {
    "40P01": ("deadlock", "two sessions waited for each other"),
    "53100": (
        "disk_full",
        "free some space where the database keeps its data",
    ),
    "53200": (
        "out_of_memory",
        "give the database's server more memory, or lower BATCH_SIZE",
    ),
    "55P03": (
        "lock_timeout",
        "another session holds a required lock (pg_locks shows which); end that session, or wait",
    ),
    "57014": (
        "statement_timeout",
        "unless it was cancelled, raise the database's statement_timeout or lower BATCH_SIZE",
    ),
}
"""By SQLSTATE: the stable reason code, and what the operator should do."""


def writer_engine(url: URL, application_name: str) -> Engine:
    """Create the worker's engine, which opens a connection on request and closes it after use.

    Another worker reads the `application_name` if it finds a source locked. `options` in the URL
    take precedence over those of the worker.
    """
    given = url.query.get("options", ())
    options = " ".join([WORKER_OPTIONS, *([given] if isinstance(given, str) else given)])
    settings = {name: value for name, value in CONNECTION_SETTINGS.items() if name not in url.query}
    return create_engine(
        url,
        poolclass=NullPool,
        connect_args={"application_name": application_name, "options": options, **settings},
    )


def is_unavailable(exc: DBAPIError) -> bool:
    """Whether the database cannot be reached, or the connection was lost.

    Otherwise the database is available and refused one statement.
    """
    code = getattr(exc.orig, "pgcode", None)
    if exc.connection_invalidated or code in UNAVAILABLE:
        return True
    if code is None:  # the error comes from the client, not from a server
        return isinstance(exc.orig, psycopg2.OperationalError | psycopg2.InterfaceError)
    return bool(code.startswith("08"))


def refusal(exc: DBAPIError) -> DatabaseRefusedError:
    """Return the error for a statement that the database refused, with advice for the operator."""
    message = _message(exc)
    reason, advice = REFUSALS.get(getattr(exc.orig, "pgcode", None) or "", ("database", ""))
    problem = f"{message}: {advice}" if advice else message
    return DatabaseRefusedError(f"{problem}; the next run tries again", code=reason)


def _message(exc: DBAPIError) -> str:
    return " ".join(str(exc.orig).split())


@contextmanager
def reachable() -> Iterator[None]:
    """Translate errors of the database within the `with` block.

    Raises:
        DatabaseUnavailableError: no connection can be opened, or the connection was lost.
        DatabaseRefusedError: a statement was refused (a timeout, a full disk, …).
    """
    try:
        yield
    except DBAPIError as exc:
        if is_unavailable(exc):
            raise DatabaseUnavailableError(f"database: {_message(exc)}") from exc
        if isinstance(exc, OperationalError):
            error = refusal(exc)
            raise DatabaseRefusedError(f"database: {error}", code=error.code) from exc
        raise
