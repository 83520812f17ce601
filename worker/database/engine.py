"""Engines: how the worker and the API reach Postgres, and what its errors mean."""

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
"""A batch that waits longer than this for a lock fails its run instead of hanging.

It looks up its thousand assets by key: with a disk's cost of a random page, Postgres would rather
read all assets for each batch. What it prepares has one plan for all values. The server looks after
its client, in the middle of a statement too: a session whose worker is gone gives its locks back
within seconds, or a minute over a dead network.
"""

KEPT_IN_REACH = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""How a connection is made and watched, unless the URL says otherwise."""

AWAY = frozenset({"25006", "53300", "57P01", "57P02", "57P03", "57P05"})
"""SQLSTATEs of a server that cannot be used now: a standby, full, stopping, crashing, starting.

Those of class 08 mean the same.
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
        "another session holds a lock that is needed here (pg_locks shows which); end it or wait",
    ),
    "57014": (
        "statement_timeout",
        "unless somebody cancelled it, raise the database's statement_timeout or lower BATCH_SIZE",
    ),
}
"""For an SQLSTATE the stable reason code, and what a person should do."""


def writer_engine(url: URL, application_name: str) -> Engine:
    """Make the worker's engine: a connection is opened when it is asked for, and closed after.

    The `application_name` is what another worker reads when it finds a source locked. `options` in
    the URL come after the worker's own, and win.
    """
    theirs = url.query.get("options", ())
    options = " ".join([WORKER_OPTIONS, *([theirs] if isinstance(theirs, str) else theirs)])
    kept = {name: value for name, value in KEPT_IN_REACH.items() if name not in url.query}
    return create_engine(
        url,
        poolclass=NullPool,
        connect_args={"application_name": application_name, "options": options, **kept},
    )


def is_away(exc: DBAPIError) -> bool:
    """Whether the database cannot be reached, or the connection in use is gone.

    Otherwise it is there, and refused one statement.
    """
    code = getattr(exc.orig, "pgcode", None)
    if exc.connection_invalidated or code in AWAY:
        return True
    if code is None:  # not the server's word: there was no server to say one
        return isinstance(exc.orig, psycopg2.OperationalError | psycopg2.InterfaceError)
    return bool(code.startswith("08"))


def refusal(exc: DBAPIError) -> DatabaseRefusedError:
    """Put into words what the database refused, and what a person should do."""
    words = " ".join(str(exc.orig).split())
    reason, advice = REFUSALS.get(getattr(exc.orig, "pgcode", None) or "", ("database", ""))
    said = f"{words}: {advice}" if advice else words
    return DatabaseRefusedError(f"{said}; the next run tries again", code=reason)


@contextmanager
def reachable() -> Iterator[None]:
    """Turn the loss of the database, and what it refuses for now, into errors that say so.

    Raises:
        DatabaseUnavailableError: no connection can be made, or the one in use went away.
        DatabaseRefusedError: a timeout, a full disk, or the like.
    """
    try:
        yield
    except DBAPIError as exc:
        if is_away(exc):
            words = " ".join(str(exc.orig).split())
            raise DatabaseUnavailableError(f"database: {words}") from exc
        if isinstance(exc, OperationalError):
            refused = refusal(exc)
            raise DatabaseRefusedError(f"database: {refused}", code=refused.code) from exc
        raise
