"""The API's way to Postgres: a pool of read-only connections, one `with read()` at a time."""

import logging
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg2
from flask import current_app
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import ServiceUnavailable

from api.connector import Connector
from api.problems import DatabaseUnavailableError, QueryTimeoutError, SchemaNotReadyError
from api.watchdog import Watchdog
from shared.embedded import find_reader_url, project_folder
from shared.errors import ConfigurationError
from shared.settings import Settings

log = logging.getLogger(__name__)

STATEMENT_TIMEOUT_SECONDS = 5

PATIENCE_SECONDS = STATEMENT_TIMEOUT_SECONDS + 1
"""How long a request keeps a connection, when the server does not even end the statement."""

READER_OPTIONS = (
    "-c default_transaction_read_only=on"
    f" -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s"
    " -c timezone=UTC"
)

POOL_SIZE = 4
"""One connection for each of a gunicorn process' threads; `gunicorn.conf.py` starts as many."""

PARAMETERS = {
    "application_name": "kasparro-api",
    "connect_timeout": 2,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 900,  # milliseconds: a host that fell silent under a query
}


def find_url(settings: Settings) -> Callable[[], URL]:
    """Return how to find the database: what is configured, or where the embedded one listens."""
    configured = settings.api_database_url
    if configured is not None:
        return lambda: configured
    return find_embedded_url


def find_embedded_url() -> URL:
    """Return where the embedded database listens at present, for the login that only reads.

    Raises:
        ConfigurationError: it does not run; the API never starts it.
    """
    url = find_reader_url(project_folder())
    if url is None:
        raise ConfigurationError("the embedded database does not run; start it with `make run`")
    return url


class Database:
    """Postgres as this process reads it. `find_url` is asked anew for every connection.

    Every statement is its own transaction (autocommit), and so sees one snapshot: an answer is
    made from one statement.
    """

    def __init__(self, find_url: Callable[[], URL], patience: float = PATIENCE_SECONDS) -> None:
        self._find_url = find_url
        self._watchdog = Watchdog(patience)
        self._connector = Connector(self._connect)
        self.engine = create_engine(
            "postgresql+psycopg2://",
            creator=self._connector,
            isolation_level="AUTOCOMMIT",
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=0.8,
            pool_use_lifo=True,
            use_native_hstore=False,
            json_deserializer=msgspec.Raw,  # JSON goes out as it is, every digit of it
        )
        event.listen(self.engine, "checkout", refuse_a_dead_connection)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Give a connection of the pool for one `with` block, at most as long as the patience."""
        with (
            self.engine.connect() as conn,
            self._watchdog.watching(conn.connection.fileno()),
        ):
            yield conn

    def close(self) -> None:
        """Close every connection, and end the watch over them."""
        self.engine.dispose()
        self._connector.close()
        self._watchdog.close()

    def _connect(self) -> Any:
        url = self._find_url()
        _, given = self.engine.dialect.create_connect_args(url)
        options = " ".join(filter(None, [given.pop("options", None), READER_OPTIONS]))
        return psycopg2.connect(**{**PARAMETERS, **given}, options=options)


def refuse_a_dead_connection(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Make the pool replace a connection that the server closed while it lay there.

    A server says nothing to an idle client but good-bye, so a socket with something to read is a
    dead one. This costs no round trip, as a `SELECT 1` before each query would.
    """
    poll = select.poll()
    poll.register(dbapi_connection.fileno(), select.POLLIN | select.POLLPRI)
    if poll.poll(0):
        raise DisconnectionError("closed by the server")


@contextmanager
def read() -> Iterator[Connection]:
    """Give a read-only connection of this application's pool for one `with` block.

    Raises:
        ServiceUnavailable: there is none to have within a second, it broke, the statement took too
            long, or the schema is not there.
    """
    database: Database = current_app.extensions["database"]
    try:
        with database.connect() as conn:
            yield conn
    except PoolTimeoutError as exc:
        raise DatabaseUnavailableError("every connection to the database is in use") from exc
    except DBAPIError as exc:
        problem = _as_problem(exc)
        if problem is None:
            raise
        raise problem from exc


def _as_problem(exc: DBAPIError) -> ServiceUnavailable | None:
    """Say what an error of Postgres means to a client; None where it is our own mistake."""
    match getattr(exc.orig, "pgcode", None):
        case "57014":
            return QueryTimeoutError(
                f"the database took longer than {STATEMENT_TIMEOUT_SECONDS} s; ask for less"
            )
        case "42P01" | "42703" | "42501" | "3F000":
            log.error("the schema is not as expected", extra={"reason": str(exc.orig).strip()})
            return SchemaNotReadyError(
                "the schema is not the one that this API expects; run `worker migrate`"
            )
    if exc.connection_invalidated or isinstance(exc, OperationalError | InterfaceError):
        log.error("a query broke off", extra={"reason": str(exc.orig).strip()})
        return DatabaseUnavailableError()
    return None
