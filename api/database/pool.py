"""The API's way to Postgres: a pool of read-only connections, one `with read()` at a time."""

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

from api.database.blame import blame_parameters
from api.database.connector import Connector
from api.database.heartbeat import Heartbeat
from api.database.prepared import Preparer
from api.database.watch import Watch
from api.database.watchdog import ClientLeftError, Watchdog, has_something_to_read
from api.request.instruments import Instruments
from api.request.problems import DatabaseUnavailableError, QueryTimeoutError, SchemaNotReadyError
from api.request.timing import timed
from shared.embedded.server import find_reader_url, project_folder
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
    # A statement is prepared only where one plan is right for all values.
    " -c plan_cache_mode=force_generic_plan"
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
        self.watchdog = Watchdog(patience)
        self._connector = Connector(self._connect)
        self.watch = Watch(self._connect)
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
            json_deserializer=msgspec.Raw,  # JSON goes out as it is, every digit of it
        )
        event.listen(self.engine, "checkout", refuse_a_dead_connection)
        Preparer(self.engine)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Give a connection of the pool for one `with` block, at most as long as the patience."""
        with self.engine.connect() as conn, self._watching(conn):
            yield conn

    @contextmanager
    def snapshot(self, patience: float) -> Iterator[Connection]:
        """Give a connection whose statements all see the database at one moment."""
        with self.engine.connect() as conn, self._watching(conn, patience):
            yield conn.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def _watching(self, conn: Connection, patience: float | None = None) -> Iterator[None]:
        """Give up when the patience ends, and when the client of this request leaves.

        Raises:
            ClientLeftError: it left.
        """
        asked = conn.connection.dbapi_connection
        file, cancel = asked.fileno(), asked.cancel  # type: ignore[union-attr]
        with ExitStack() as watch:
            watched = watch.enter_context(
                self.watchdog.watching(file, patience, client_socket(), cancel)
            )
            try:
                yield
            except DBAPIError as exc:
                if watched.client_left:
                    raise ClientLeftError from exc
                raise
            finally:
                watch.close()  # whoever was not taken for gone by now, never will be
                if watched.client_left:  # the cancellation may come late, and hit another query
                    conn.invalidate()

    def close(self) -> None:
        """Close every connection, and end the watch over them."""
        self.engine.dispose()
        self.heartbeat.close()
        self._connector.close()
        self.watchdog.close()
        self.watch.close()

    def _connect(self) -> Any:
        url = self._find_url()
        _, given = self.engine.dialect.create_connect_args(url)
        options = " ".join(filter(None, [given.pop("options", None), READER_OPTIONS]))
        return psycopg2.connect(**{**PARAMETERS, **given}, options=options)


def client_socket() -> int | None:
    """Return the file of the socket that this request came by; None where gunicorn has none."""
    client = request.environ.get("gunicorn.socket") if has_request_context() else None
    return client.fileno() if client is not None and client.fileno() >= 0 else None


def refuse_a_dead_connection(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Make the pool replace a connection that the server closed while it lay there.

    A server says nothing to an idle client but good-bye, so a socket with something to read is a
    dead one. This costs no round trip, as a `SELECT 1` before each query would.
    """
    if has_something_to_read(dbapi_connection.fileno()):
        raise DisconnectionError("closed by the server")


def read() -> AbstractContextManager[Connection]:
    """Give a read-only connection of this application's pool for one `with` block.

    Raises:
        ServiceUnavailable: there is none to have within a second, it broke, the statement took too
            long, or the schema is not there.
    """
    database: Database = current_app.extensions["database"]
    return _reading(database.connect)


def snapshot(patience: float) -> AbstractContextManager[Connection]:
    """Give a read-only connection whose statements all see the database at one moment.

    For one `with` block of at most as many seconds as the patience; each statement has its timeout.

    Raises:
        ServiceUnavailable: as `read` does.
    """
    database: Database = current_app.extensions["database"]
    return _reading(lambda: database.snapshot(patience))


@contextmanager
def _reading(connect: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
    """Time and count one use of a connection, and raise as problems what goes wrong with it."""
    instruments: Instruments = current_app.extensions["instruments"]
    with timed("db"), instruments.connection_use() as use, _problems(), connect() as conn:
        use.connected()
        yield conn


@contextmanager
def _problems() -> Iterator[None]:
    """Raise what goes wrong with the database as what it means to a client."""
    try:
        yield
    except PoolTimeoutError as exc:
        raise DatabaseUnavailableError("every connection to the database is in use") from exc
    except DBAPIError as exc:
        problem = _as_problem(exc)
        if problem is None:
            raise
        raise problem from exc


def _as_problem(exc: DBAPIError) -> Exception | None:
    """Say what an error of Postgres means to a client; None where it is our own mistake."""
    if isinstance(exc, DataError):
        return blame_parameters(str(exc.orig))
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
