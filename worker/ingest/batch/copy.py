"""Sending a batch's rows to Postgres: COPY into temporary tables."""

import json
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from sqlalchemy import Connection, Row

from shared.model.records import VALUES, Claim, Observation, RawRecord, Reject
from worker.database.copy import copy_rows, write_bytes, write_line
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
        write_line((said.external_id, said.observed_at, *_said(said, digest)), record.payload)
        for (record, said), digest in given
    )


def copy_staged(conn: Connection, rows: bytes) -> None:
    """Send what `stage` wrote to the `staging` table."""
    copy_rows(
        conn,
        "staging",
        ("external_id", "observed_at", *OBSERVED, "received_digest", "payload"),
        rows,
    )


def copy_claims(conn: Connection, rows: bytes) -> None:
    """Send what `stage` wrote of claims to the `staged_claims` table."""
    copy_rows(conn, "staged_claims", (*CLAIMED, "payload"), rows)


def copy_reread_claims(conn: Connection, rows: Sequence[tuple[Row[Any], Claim]]) -> None:
    """Send what stored raw records claim to `reread_claims`, under the records' own keys."""
    lines = [
        write_line(
            (raw.external_id, raw.observed_at, *_claimed(claim)),
            write_bytes(raw.payload_hash),
        )
        for raw, claim in rows
    ]
    copy_rows(conn, "reread_claims", (*CLAIMED, "payload_hash"), b"".join(lines))


def copy_fresh(conn: Connection, rows: Sequence[tuple[Row[Any], Observation]]) -> None:
    """Send what stored raw records say to the `fresh` table, under the records' own keys."""
    lines = [
        write_line(
            [
                raw.external_id,
                raw.observed_at,
                False,
                raw.superseded_at is None,
                raw.run_id,
                *_cells(o),
            ],
            write_bytes(raw.payload_hash),
        )
        for raw, o in rows
    ]
    columns = (
        *("external_id", "observed_at", "is_returned", "prevails", "run_id"),
        *OBSERVED,
        "payload_hash",
    )
    copy_rows(conn, "fresh", columns, b"".join(lines))


def copy_rejects(conn: Connection, rejects: Sequence[Reject]) -> None:
    """Send refused records, with their reasons, to the `staging_rejects` table."""
    lines = [
        write_line(
            [
                reject.external_id,
                reject.record.position,
                json.dumps(list(reject.reasons)),
            ],
            write_bytes(reject.record.payload),
        )
        for reject in rejects
    ]
    columns = ("external_id", "position", "reasons", "payload")
    copy_rows(conn, "staging_rejects", columns, b"".join(lines))


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
