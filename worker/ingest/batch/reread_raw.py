"""Read stored raw records again with the current schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from marshmallow import ValidationError
from sqlalchemy import ColumnElement, Connection, Row, select, tuple_
from sqlalchemy import Text as AsText

from shared.model.records import Claim, Observation, RawRecord
from shared.schema.raw import EVERY_RAW, RAW
from worker.sources.base import Source
from worker.sources.fields import flatten
from worker.sources.json.records import decode

log = structlog.get_logger(__name__)

ROWS_AT_ONCE = 5000
"""Number of rows that one query reads."""


@dataclass(frozen=True, slots=True)
class RawKey:
    """A raw record's key, in the order of its index."""

    observed_at: datetime
    external_id: str
    payload_hash: bytes


FIRST_KEY = RawKey(datetime.min.replace(tzinfo=UTC), "", b"")


def read_raw(conn: Connection, source: str, after: RawKey | Row[Any]) -> Sequence[Row[Any]]:
    """Read the next `ROWS_AT_ONCE` raw records of a source, in the order of their keys.

    A row has the key, `run_id`, `superseded_at`, and the payload as text, with every digit.
    """
    raw = EVERY_RAW[source].c
    columns: list[ColumnElement[Any]] = [raw.observed_at, raw.external_id, raw.payload_hash]
    columns += [raw.run_id, *([raw.superseded_at] if source in RAW else [])]
    key = tuple_(raw.observed_at, raw.external_id, raw.payload_hash)
    stmt = (
        select(*columns, raw.payload.cast(AsText).label("payload"))
        .where(key > tuple_(after.observed_at, after.external_id, after.payload_hash))
        .order_by(raw.observed_at, raw.external_id, raw.payload_hash)
        .limit(ROWS_AT_ONCE)
    )
    return list(conn.execute(stmt))


def observe_raw(source: Source, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Observation]]:
    """Read the observations of raw records; records that the schema refuses are only logged."""
    return [(row, o) for row, o in _read_again(source, rows) if isinstance(o, Observation)]


def claim_raw(source: Source, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Claim]]:
    """Read the claims of the raw records of a list of contracts, as `observe_raw` does."""
    return [(row, claim) for row, claim in _read_again(source, rows) if isinstance(claim, Claim)]


def _read_again(
    source: Source, rows: Sequence[Row[Any]]
) -> list[tuple[Row[Any], Observation | Claim]]:
    readable: list[tuple[Row[Any], Observation | Claim]] = []
    for row in rows:
        record = RawRecord(b"", "", decode(row.payload), fetched_at=row.observed_at)
        try:
            readable.append((row, source.read(record)))
        except ValidationError as exc:
            log.warning(
                "a raw record no longer matches the current schema",
                source=source.name,
                external_id=row.external_id,
                observed_at=row.observed_at.isoformat(),
                reasons=list(flatten(exc.messages)),
            )
    return readable
