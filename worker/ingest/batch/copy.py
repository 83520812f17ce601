"""Send the rows of a batch to temporary tables with COPY."""

import json
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from sqlalchemy import Connection, Row

from shared.model.records import VALUES, Claim, Observation, RawRecord, Reject
from worker.database.copy import copy_rows, write_bytes, write_line
from worker.identity.resolver.labels.names import normalise

OBSERVED = ("symbol", "name", "symbol_key", "name_key", *VALUES)
"""The columns of an observation in the temporary tables."""

CLAIMED = ("external_id", "observed_at", "coin", "contracts")
"""The columns of a claim in the temporary tables."""


def stage(
    checked: Iterable[tuple[RawRecord, Observation | Claim]],
    digests: Iterable[str | None] | None = None,
) -> bytes:
    """Encode checked records in the format of COPY, for `staging` or `staged_claims`.

    `digests` has the digest by which each record is recognised when it is received again; None for
    a record that is not to be recognised.
    """
    pairs = zip(checked, repeat(None)) if digests is None else zip(checked, digests, strict=True)
    return b"".join(
        write_line(
            (content.external_id, content.observed_at, *_columns(content, digest)), record.payload
        )
        for (record, content), digest in pairs
    )


def copy_staged(conn: Connection, rows: bytes) -> None:
    """Send observations, encoded by `stage`, to the `staging` table."""
    copy_rows(
        conn,
        "staging",
        ("external_id", "observed_at", *OBSERVED, "received_digest", "payload"),
        rows,
    )


def copy_claims(conn: Connection, rows: bytes) -> None:
    """Send claims, encoded by `stage`, to the `staged_claims` table."""
    copy_rows(conn, "staged_claims", (*CLAIMED, "payload"), rows)


def copy_reread_claims(conn: Connection, rows: Sequence[tuple[Row[Any], Claim]]) -> None:
    """Send the claims of stored raw records to `reread_claims`, with the keys of the records."""
    lines = [
        write_line(
            (raw.external_id, raw.observed_at, *_claim_columns(claim)),
            write_bytes(raw.payload_hash),
        )
        for raw, claim in rows
    ]
    copy_rows(conn, "reread_claims", (*CLAIMED, "payload_hash"), b"".join(lines))


def copy_fresh(conn: Connection, rows: Sequence[tuple[Row[Any], Observation]]) -> None:
    """Send the observations of stored raw records to `fresh`, with the keys of the records."""
    lines = [
        write_line(
            [
                raw.external_id,
                raw.observed_at,
                False,
                raw.superseded_at is None,
                raw.run_id,
                *_observation_columns(o),
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


def _columns(content: Observation | Claim, digest: str | None) -> tuple[object, ...]:
    if isinstance(content, Claim):
        return _claim_columns(content)
    return (*_observation_columns(content), digest and f"\\x{digest}")


def _claim_columns(claim: Claim) -> tuple[object, ...]:
    return (claim.coin, json.dumps(claim.contracts, ensure_ascii=False))


def _observation_columns(o: Observation) -> tuple[object, ...]:
    """Return the values of the columns `OBSERVED`."""
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
