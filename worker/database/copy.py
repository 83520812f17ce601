"""COPY into temporary tables: rows in its text format, sent in one piece."""

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
    """Send what identity decided to a temporary table: other columns, and `evidence` last.

    As parameters of an INSERT, a thousand rows take Postgres ten times as long to read.
    """
    lines = [
        write_line(cells, json.dumps(dict(said), sort_keys=True).encode()) for cells, said in rows
    ]
    copy_rows(conn, table, (*columns, "evidence"), b"".join(lines))


def write_bytes(value: bytes) -> bytes:
    """Write bytes as `bytea` reads them."""
    return b"\\x" + value.hex().encode()


def write_line(cells: Sequence[object], last: bytes) -> bytes:
    """Write one row in COPY's text format, the cell of bytes last."""
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
    """COPY the rows into a temporary table of ours."""
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    session: Any = conn.connection.dbapi_connection
    try:
        with session.cursor() as cursor:
            # In one piece: each further read would wait for the interpreter lock, which the
            # thread that checks the next batch holds.
            cursor.copy_expert(statement, BytesIO(rows), size=len(rows) + 1)
    except psycopg2.Error as exc:
        # Past SQLAlchemy, which would have wrapped it and said whether the session is lost.
        lost = bool(session.closed)
        raise DBAPIError(statement, None, exc, connection_invalidated=lost) from exc
