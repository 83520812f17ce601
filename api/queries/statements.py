"""Statements that are compiled once, and run with other values each time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select
from sqlalchemy.dialects.postgresql.psycopg2 import dialect

DIALECT = dialect()  # type: ignore[no-untyped-call]


class Statement:
    """A SELECT as the driver takes it: to compile one costs more than to run it."""

    def __init__(self, stmt: Select[Any]) -> None:
        compiled = stmt.compile(dialect=DIALECT)
        self._sql = str(compiled)
        self._values = compiled.params

    def execute(self, conn: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run it with the values of its open parameters; what it has none for is left out."""
        return conn.exec_driver_sql(self._sql, {**self._values, **values}).all()

    def stream(
        self, conn: Connection, values: Mapping[str, Any], size: int
    ) -> Iterator[Sequence[Row[Any]]]:
        """Run it with a cursor on the server, and give its rows as they come, `size` at a time."""
        streaming = conn.execution_options(stream_results=True, max_row_buffer=size)
        rows = streaming.exec_driver_sql(self._sql, {**self._values, **values})
        return rows.partitions(size)
