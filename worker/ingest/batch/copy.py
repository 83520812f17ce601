"""Sending a batch's rows to Postgres: COPY into temporary tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from itertools import repeat
from typing import Any

import psycopg2
from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError

from shared.model.records import VALUES, Claim, Observation, RawRecord, Reject
from worker.identity.resolver.names import normalise

OBSERVED = ("symbol", "name", "symbol_key", "name_key", *VALUES)
"""The columns of the temporary tables that hold what an observation says."""

CLAIMED = ("external_id", "observed_at", "coin", "contracts")
"""The columns of the temporary tables that hold a claim."""


def stage(
    checked: Iterable[tuple[RawRecord, Observation | Claim]],
    digests: Iterable[str | None] | None = None,
) -> bytes:
    """Write checked records as COPY sends them to the staging table of their kind.

    `digests` has for each of them by what it is recognised when it comes again, if by anything.
    """
    given = zip(checked, repeat(None)) if digests is None else zip(checked, digests, strict=True)
    return b"".join(
        _line((said.external_id, said.observed_at, *_said(said, digest)), record.payload)
        for (record, said), digest in given
    )


def copy_staged(conn: Connection, rows: bytes) -> None:
    """Send what `stage` wrote to the `staging` table."""
    _copy(
        conn,
        "staging",
        ("external_id", "observed_at", *OBSERVED, "received_digest", "payload"),
        rows,
    )


def copy_claims(conn: Connection, rows: bytes) -> None:
    """Send what `stage` wrote of claims to the `staged_claims` table."""
    _copy(conn, "staged_claims", (*CLAIMED, "payload"), rows)


def copy_reread_claims(conn: Connection, rows: Sequence[tuple[Row[Any], Claim]]) -> None:
    """Send what stored raw records claim to `reread_claims`, under the records' own keys."""
    lines = [
        _line(
            (raw.external_id, raw.observed_at, *_claimed(claim)),
            _hex(raw.payload_hash),
        )
        for raw, claim in rows
    ]
    _copy(conn, "reread_claims", (*CLAIMED, "payload_hash"), b"".join(lines))


def copy_fresh(conn: Connection, rows: Sequence[tuple[Row[Any], Observation]]) -> None:
    """Send what stored raw records say to the `fresh` table, under the records' own keys."""
    lines = [
        _line(
            [
                raw.external_id,
                raw.observed_at,
                False,
                raw.superseded_at is None,
                raw.run_id,
                *_cells(o),
            ],
            _hex(raw.payload_hash),
        )
        for raw, o in rows
    ]
    columns = (
        *("external_id", "observed_at", "is_returned", "prevails", "run_id"),
        *OBSERVED,
        "payload_hash",
    )
    _copy(conn, "fresh", columns, b"".join(lines))


def copy_rejects(conn: Connection, rejects: Sequence[Reject]) -> None:
    """Send refused records, with their reasons, to the `staging_rejects` table."""
    lines = [
        _line(
            [
                reject.external_id,
                reject.record.position,
                json.dumps(list(reject.reasons)),
            ],
            _hex(reject.record.payload),
        )
        for reject in rejects
    ]
    columns = ("external_id", "position", "reasons", "payload")
    _copy(conn, "staging_rejects", columns, b"".join(lines))


def copy_evidence(
    conn: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple[Sequence[object], Mapping[str, Any]]],
) -> None:
    """Send what identity decided to a temporary table: other columns, and `evidence` last.

    As parameters of an INSERT, a thousand rows take Postgres ten times as long to read.
    """
    lines = [_line(cells, json.dumps(dict(said), sort_keys=True).encode()) for cells, said in rows]
    _copy(conn, table, (*columns, "evidence"), b"".join(lines))


def _said(said: Observation | Claim, digest: str | None) -> tuple[object, ...]:
    if isinstance(said, Claim):
        return _claimed(said)
    return (*_cells(said), digest and f"\\x{digest}")


def _claimed(claim: Claim) -> tuple[object, ...]:
    return (claim.coin, json.dumps(claim.contracts, ensure_ascii=False))


def _cells(o: Observation) -> tuple[object, ...]:
    """What an observation says, in the order of `OBSERVED`."""
    return (
        o.symbol,
        o.name,
        normalise(o.symbol),
        normalise(o.name),
        o.price_usd,
        o.market_cap_usd,
        o.volume_24h_usd,
        o.circulating_supply,
        o.total_supply,
        o.max_supply,
    )


def _hex(value: bytes) -> bytes:
    """Write bytes as `bytea` reads them."""
    return b"\\x" + value.hex().encode()


def _line(cells: Sequence[object], last: bytes) -> bytes:
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


def _copy(conn: Connection, table: str, columns: Sequence[str], rows: bytes) -> None:
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
