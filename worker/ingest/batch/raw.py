"""Stored raw records, and what they say by the schema of today."""

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

STRETCH = 5000
"""Raw records that are read at once."""


@dataclass(frozen=True, slots=True)
class RawKey:
    """A raw record's key, in the order of its index."""

    observed_at: datetime
    external_id: str
    payload_hash: bytes


BEFORE_ALL = RawKey(datetime.min.replace(tzinfo=UTC), "", b"")


def read_raw(conn: Connection, source: str, after: RawKey | Row[Any]) -> Sequence[Row[Any]]:
    """Read the next `STRETCH` of a source's raw records, in the order of their key.

    Each has its key, `run_id`, when it was superseded, and the payload as text, with every digit.
    """
    raw = EVERY_RAW[source].c
    columns: list[ColumnElement[Any]] = [raw.observed_at, raw.external_id, raw.payload_hash]
    columns += [raw.run_id, *([raw.superseded_at] if source in RAW else [])]
    key = tuple_(raw.observed_at, raw.external_id, raw.payload_hash)
    stmt = (
        select(*columns, raw.payload.cast(AsText).label("payload"))
        .where(key > tuple_(after.observed_at, after.external_id, after.payload_hash))
        .order_by(raw.observed_at, raw.external_id, raw.payload_hash)
        .limit(STRETCH)
    )
    return list(conn.execute(stmt))


def observe_raw(source: Source, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Observation]]:
    """Say what raw records mean. One that is none by today's schema is left out, and logged."""
    said = _read_again(source, rows)
    return [(row, each) for row, each in said if isinstance(each, Observation)]


def claim_raw(source: Source, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Claim]]:
    """Say what the raw records of a list of contracts mean, as `observe_raw` does."""
    said = _read_again(source, rows)
    return [(row, each) for row, each in said if isinstance(each, Claim)]


def _read_again(
    source: Source, rows: Sequence[Row[Any]]
) -> list[tuple[Row[Any], Observation | Claim]]:
    said: list[tuple[Row[Any], Observation | Claim]] = []
    for row in rows:
        record = RawRecord(b"", "", decode(row.payload), fetched_at=row.observed_at)
        try:
            said.append((row, source.read(record)))
        except ValidationError as exc:
            log.warning(
                "a raw record is none by the schema of today",
                source=source.name,
                external_id=row.external_id,
                observed_at=row.observed_at.isoformat(),
                reasons=list(flatten(exc.messages)),
            )
    return said
