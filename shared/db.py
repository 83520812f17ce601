"""Engines: how the worker and the API reach Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import NullPool

from shared.errors import DatabaseUnavailableError

WORKER_OPTIONS = (
    "-c timezone=UTC -c random_page_cost=1.1 -c lock_timeout=30s"
    " -c idle_in_transaction_session_timeout=5min"
)
"""A batch that waits longer than this for a lock fails its run instead of hanging.

It looks up its thousand assets by key: with a disk's cost of a random page, Postgres would rather
read all assets for each batch.
"""


def writer_engine(url: URL, application_name: str) -> Engine:
    """Make the worker's engine: a connection is opened when it is asked for, and closed after.

    The `application_name` is what another worker reads when it finds a source locked.
    """
    return create_engine(
        url,
        poolclass=NullPool,
        connect_args={
            "application_name": application_name,
            "connect_timeout": 10,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "options": WORKER_OPTIONS,
        },
    )


@contextmanager
def reachable() -> Iterator[None]:
    """Turn the loss of the database into an error that says so.

    Raises:
        DatabaseUnavailableError: no connection can be made, or the one in use went away.
    """
    try:
        yield
    except DBAPIError as exc:
        if isinstance(exc, OperationalError | InterfaceError) or exc.connection_invalidated:
            words = " ".join(str(exc.orig).split())
            raise DatabaseUnavailableError(f"database: {words}") from exc
        raise
