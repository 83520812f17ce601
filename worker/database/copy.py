"""COPY into temporary tables, with all rows of a table in one message."""

import json
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def copy_evidence(
    conn: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple[Sequence[object], Mapping[str, Any]]],
) -> None:
    """Send decisions of identity to a temporary table whose last column is `evidence`.

    Postgres needs ten times as long to read a thousand rows as parameters of an INSERT.
    """
    lines = [
        write_line(cells, json.dumps(dict(evidence), sort_keys=True).encode())
        for cells, evidence in rows
    ]
    copy_rows(conn, table, (*columns, "evidence"), b"".join(lines))


def write_bytes(value: bytes) -> bytes:
    """Encode bytes in the text format of `bytea`."""
    return b"\\x" + value.hex().encode()


def write_line(cells: Sequence[object], last: bytes) -> bytes:
    """Encode one row in the text format of COPY, with the bytes as its last cell."""
    text_cells = [
        "\\N" if cell is None else _escape(cell) if type(cell) is str else str(cell)
        for cell in cells
    ]
    return "\t".join(text_cells).encode() + b"\t" + _escape_bytes(last) + b"\n"


def _escape(cell: str) -> str:
    if cell.isprintable() and "\\" not in cell:
        return cell
    return cell.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _escape_bytes(payload: bytes) -> bytes:
    return (
        payload.replace(b"\\", b"\\\\")
        .replace(b"\t", b"\\t")
        .replace(b"\n", b"\\n")
        .replace(b"\r", b"\\r")
    )


def copy_rows(conn: Connection, table: str, columns: Sequence[str], rows: bytes) -> None:
    """Send encoded rows to a temporary table."""
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    session: Any = conn.connection.dbapi_connection
    try:
        with session.cursor() as cursor:
            # psycopg2 reads all rows at once: each further read would wait for the interpreter
            # lock, which the thread that checks the next batch holds.
            cursor.copy_expert(statement, BytesIO(rows), size=len(rows) + 1)
    except psycopg2.Error as exc:
        # The cursor bypasses SQLAlchemy, which would wrap the error and detect a lost connection.
        lost = bool(session.closed)
        raise DBAPIError(statement, None, exc, connection_invalidated=lost) from exc
