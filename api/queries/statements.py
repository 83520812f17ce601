"""Statements that are compiled once, and run with other values each time."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Connection,
    CursorResult,
    Row,
    literal_column,
)
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.postgresql.psycopg2 import dialect
from sqlalchemy.sql.visitors import replacement_traverse

from api.database.prepared import OPTION, Prepared

DIALECT = dialect()  # type: ignore[no-untyped-call]

SERVER_SIDE = asyncpg.dialect()  # type: ignore[no-untyped-call]
"""Writes parameters as PREPARE has them, each with its type: `$1::INTEGER`."""


class Statement:
    """A SELECT as the driver takes it: to compile one costs more than to run it.

    One that is `prepared` is planned once in each connection that runs it often, for any values:
    what it reads must not hang on them.
    """

    def __init__(self, stmt: ClauseElement, *, prepared: bool = False) -> None:
        stmt = cast("ClauseElement", replacement_traverse(stmt, {}, _write_constant))
        compiled = stmt.compile(dialect=DIALECT)
        self._sql, self._values = str(compiled), compiled.params
        self._options = {OPTION: _prepare(stmt)} if prepared else {}

    def execute(self, conn: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run it with the values of its open parameters; what it has none for is left out."""
        return self.run(conn, values).all()

    def run(self, conn: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it likewise, for a result that its user reads."""
        values = {**self._values, **values}
        return conn.exec_driver_sql(self._sql, values, execution_options=self._options)

    def stream(
        self, conn: Connection, values: Mapping[str, Any], size: int
    ) -> Iterator[Sequence[Row[Any]]]:
        """Run it with a cursor on the server, and give its rows as they come, `size` at a time."""
        streaming = conn.execution_options(stream_results=True, max_row_buffer=size)
        return streaming.exec_driver_sql(self._sql, {**self._values, **values}).partitions(size)


def _prepare(stmt: ClauseElement) -> Prepared:
    compiled: Any = stmt.compile(dialect=SERVER_SIDE)
    sql = str(compiled)
    name = f"kasparro_{blake2b(sql.encode(), digest_size=8).hexdigest()}"
    return Prepared(name, sql, tuple(compiled.positiontup))


def _write_constant(element: Any, **_: Any) -> Any:
    """Replace a parameter that always has the same value: Postgres plans with that once."""
    if not isinstance(element, BindParameter) or element.required:
        return None
    value = element.value
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        return literal_column(f"'{quoted}'", element.type)
    if isinstance(value, int):
        return literal_column(str(value), element.type)
    return None
