"""Statements that are compiled once and executed with different values."""

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
"""Writes parameters in the syntax of PREPARE, each with its type: `$1::INTEGER`."""


class Statement:
    """A SELECT as text for the driver, because compiling costs more than executing.

    With `prepared`, each connection that uses it often plans it once for all values. The best plan
    must not depend on the values.
    """

    def __init__(self, stmt: ClauseElement, *, prepared: bool = False) -> None:
        stmt = cast("ClauseElement", replacement_traverse(stmt, {}, _write_constant))
        compiled = stmt.compile(dialect=DIALECT)
        self._sql, self._values = str(compiled), compiled.params
        self._options = {OPTION: _prepare(stmt)} if prepared else {}

    def execute(self, conn: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """Execute it with values for its parameters; other values are ignored."""
        return self.run(conn, values).all()

    def run(self, conn: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Execute it like `execute`, and return the result without fetching the rows."""
        values = {**self._values, **values}
        return conn.exec_driver_sql(self._sql, values, execution_options=self._options)

    def stream(
        self, conn: Connection, values: Mapping[str, Any], size: int
    ) -> Iterator[Sequence[Row[Any]]]:
        """Execute it with a server-side cursor, and yield its rows in parts of `size`."""
        streaming = conn.execution_options(stream_results=True, max_row_buffer=size)
        return streaming.exec_driver_sql(self._sql, {**self._values, **values}).partitions(size)


def _prepare(stmt: ClauseElement) -> Prepared:
    compiled: Any = stmt.compile(dialect=SERVER_SIDE)
    sql = str(compiled)
    name = f"kasparro_{blake2b(sql.encode(), digest_size=8).hexdigest()}"
    return Prepared(name, sql, tuple(compiled.positiontup))


def _write_constant(element: Any, **_: Any) -> Any:
    """Inline a parameter with a constant value, so that Postgres can use it for the plan."""
    if not isinstance(element, BindParameter) or element.required:
        return None
    value = element.value
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        return literal_column(f"'{quoted}'", element.type)
    if isinstance(value, int):
        return literal_column(str(value), element.type)
    return None
