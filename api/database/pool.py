"""The pool of read-only connections to Postgres; `with read()` uses one of them."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import msgspec
import psycopg2
from flask import current_app, has_request_context, request
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.database.change_listener import ChangeListener
from api.database.connector import Connector
from api.database.heartbeat import Heartbeat
from api.database.prepared import Preparer
from api.database.refused_values import find_refused_parameters
from api.database.watchdog import ClientLeftError, Watchdog, is_readable
from api.request.problems import DatabaseUnavailableError, QueryTimeoutError, SchemaNotReadyError
from api.request.process_metrics import Instruments
from api.request.timing import timed
from shared.embedded.server import find_reader_url, project_folder
from shared.errors import ConfigurationError
from shared.settings import Settings

log = logging.getLogger(__name__)

STATEMENT_TIMEOUT_SECONDS = 5

QUERY_SECONDS = STATEMENT_TIMEOUT_SECONDS + 1
"""How long a request may use a connection if the server does not end the statement itself."""

READER_OPTIONS = (
    "-c default_transaction_read_only=on"
    f" -c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s"
    " -c timezone=UTC"
    # Only statements whose plan suits all values are prepared.
    " -c plan_cache_mode=force_generic_plan"
)

POOL_SIZE = 4
"""One connection per thread of a gunicorn process; `gunicorn.conf.py` uses the same number."""

PARAMETERS = {
    "application_name": "kasparro-api",
    "connect_timeout": 2,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 900,  # milliseconds: for a host that disappears during a query
}


def find_url(settings: Settings) -> Callable[[], URL]:
    """Return a function that returns the database's URL: the configured or the embedded one."""
    configured = settings.api_database_url
    if configured is not None:
        return lambda: configured
    return find_embedded_url


def find_embedded_url() -> URL:
    """Return the current URL of the embedded database, with its read-only login.

    Raises:
        ConfigurationError: it is not running. The API never starts it.
    """
    url = find_reader_url(project_folder())
    if url is None:
        raise ConfigurationError("the embedded database is not running; start it with `make run`")
    return url


class Database:
    """The connections of this process to Postgres. Each new connection calls `find_url`.

    Every statement is its own transaction (autocommit) and sees one snapshot. So a response is made
    from one statement.
    """

    def __init__(self, find_url: Callable[[], URL], max_seconds: float = QUERY_SECONDS) -> None:
        self._find_url = find_url
        self.watchdog = Watchdog(max_seconds)
        self._connector = Connector(self._connect)
        self.changes = ChangeListener(self._connect)
        self.heartbeat = Heartbeat(self._connect, self.watchdog)
        self.engine = create_engine(
            "postgresql+psycopg2://",
            creator=self._connector,
            isolation_level="AUTOCOMMIT",
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=0.8,
            pool_use_lifo=True,
            use_native_hstore=False,
            json_deserializer=msgspec.Raw,  # JSON is passed on unchanged, with every digit
        )
        event.listen(self.engine, "checkout", check_connection)
        Preparer(self.engine)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Provide a connection of the pool for one `with` block, within the time limit."""
        with self.engine.connect() as conn, self._guard(conn):
            yield conn

    @contextmanager
    def snapshot(self, max_seconds: float) -> Iterator[Connection]:
        """Provide a connection whose statements all see the same snapshot."""
        with self.engine.connect() as conn, self._guard(conn, max_seconds):
            yield conn.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def _guard(self, conn: Connection, max_seconds: float | None = None) -> Iterator[None]:
        """Abort the queries of a block at its time limit, or when the request's client disconnects.

        Raises:
            ClientLeftError: the client disconnected.
        """
        raw = conn.connection.dbapi_connection
        file, cancel = raw.fileno(), raw.cancel  # type: ignore[union-attr]
        with ExitStack() as guard:
            watched = guard.enter_context(
                self.watchdog.watching(file, max_seconds, client_socket(), cancel)
            )
            try:
                yield
            except DBAPIError as exc:
                if watched.client_left:
                    raise ClientLeftError from exc
                raise
            finally:
                guard.close()  # from here on, `client_left` does not change
                if watched.client_left:  # a late cancellation could hit the next query
                    conn.invalidate()

    def close(self) -> None:
        """Close every connection and end the background threads."""
        self.engine.dispose()
        self.heartbeat.close()
        self._connector.close()
        self.watchdog.close()
        self.changes.close()

    def _connect(self) -> Any:
        url = self._find_url()
        _, arguments = self.engine.dialect.create_connect_args(url)
        options = " ".join(filter(None, [arguments.pop("options", None), READER_OPTIONS]))
        return psycopg2.connect(**{**PARAMETERS, **arguments}, options=options)


def client_socket() -> int | None:
    """Return the file descriptor of the request's socket; None without gunicorn."""
    client = request.environ.get("gunicorn.socket") if has_request_context() else None
    return client.fileno() if client is not None and client.fileno() >= 0 else None


def check_connection(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Make the pool replace a connection that the server closed while it was idle.

    A server sends nothing to an idle client before it closes the connection. So a readable socket
    means a closed connection. Unlike a `SELECT 1` before each query, this costs no round trip.
    """
    if is_readable(dbapi_connection.fileno()):
        raise DisconnectionError("closed by the server")


def read() -> AbstractContextManager[Connection]:
    """Provide a read-only connection of this application's pool for one `with` block.

    Raises:
        ServiceUnavailable: no connection was available within a second, the connection broke,
            the statement took too long, or the schema is not the expected one.
    """
    database: Database = current_app.extensions["database"]
    return _measured(database.connect)


def snapshot(max_seconds: float) -> AbstractContextManager[Connection]:
    """Provide a read-only connection whose statements all see the same snapshot.

    The `with` block may take `max_seconds`; each statement also has the usual timeout.

    Raises:
        ServiceUnavailable: as in `read`.
    """
    database: Database = current_app.extensions["database"]
    return _measured(lambda: database.snapshot(max_seconds))


@contextmanager
def _measured(connect: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
    """Measure one use of a connection, and convert its errors to problems."""
    instruments: Instruments = current_app.extensions["instruments"]
    with timed("db"), instruments.connection_use() as use, _problems(), connect() as conn:
        use.connected()
        yield conn


@contextmanager
def _problems() -> Iterator[None]:
    """Convert errors of the database to problems."""
    try:
        yield
    except PoolTimeoutError as exc:
        raise DatabaseUnavailableError("all connections to the database are in use") from exc
    except DBAPIError as exc:
        problem = _as_problem(exc)
        if problem is None:
            raise
        raise problem from exc


def _as_problem(exc: DBAPIError) -> Exception | None:
    """Return the problem for an error of Postgres; None if the error is a bug of this program."""
    if isinstance(exc, DataError):
        return find_refused_parameters(str(exc.orig))
    match getattr(exc.orig, "pgcode", None):
        case "57014":
            return QueryTimeoutError(
                f"the query took longer than {STATEMENT_TIMEOUT_SECONDS} s; narrow it or try again"
            )
        case "42P01" | "42703" | "42501" | "3F000":
            log.error("the schema did not match", extra={"reason": str(exc.orig).strip()})
            return SchemaNotReadyError(
                "the database schema does not match this release; run `worker migrate`"
            )
    if exc.connection_invalidated or isinstance(exc, OperationalError | InterfaceError):
        log.error("a query lost its connection", extra={"reason": str(exc.orig).strip()})
        return DatabaseUnavailableError()
    return None
