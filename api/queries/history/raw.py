"""The raw records behind an asset, as stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TextClause, text

from shared.schema.raw import RAW

# An observation has the key of its raw record, which is looked up in its source's table.
PAYLOADS = " UNION ALL ".join(
    f"SELECT payload FROM {table.name} WHERE f.source = '{source}'"  # noqa: S608  no external input
    " AND observed_at = f.observed_at AND external_id = f.external_id"
    " AND payload_hash = f.payload_hash"
    for source, table in RAW.items()
)

# A pruned record is in the first archive that was written after it was loaded. An asset without
# matching records gives one row.
RECORDS = """
WITH found AS MATERIALIZED (
  SELECT l.source, l.external_id, o.*
  FROM listings AS l CROSS JOIN LATERAL (
    SELECT observed_at, payload_hash, run_id, ingested_at
    FROM observations WHERE listing_id = l.id AND {which}
    ORDER BY observed_at DESC, superseded_at DESC NULLS FIRST LIMIT 1
  ) AS o
  WHERE l.asset_id = (SELECT id FROM assets WHERE slug = :slug)
    AND (CAST(:source AS text) IS NULL OR l.source = :source)
    AND (CAST(:external_id AS text) IS NULL OR l.external_id = :external_id)
)
SELECT d.version, a.id IS NOT NULL AS exists, f.*, r.payload,
       p.pruned_at, regexp_replace(p.archive, '^.*/', '') AS archive, p.digest
FROM dataset AS d LEFT JOIN assets AS a ON a.slug = :slug LEFT JOIN found AS f ON true
LEFT JOIN LATERAL ({payloads}) AS r ON true
LEFT JOIN LATERAL (
  SELECT * FROM pruned_partitions AS p
  WHERE r.payload IS NULL AND p.source = f.source AND p.pruned_at > f.ingested_at
    AND f.observed_at >= p.observed_from AND f.observed_at < p.observed_until
  ORDER BY p.pruned_at, p.id LIMIT 1
) AS p ON true
ORDER BY f.source, f.external_id
"""


def _statement(which: str) -> TextClause:
    return text(RECORDS.format(which=which, payloads=PAYLOADS))


NEWEST_RECORDS = _statement("observed_at = l.observed_at AND payload_hash = l.payload_hash")

# No index begins with the hash, so this scans each listing's history.
RECORDS_OF_A_HASH = _statement("payload_hash = :hash")

RECORDS_OF_AN_INSTANT = _statement(
    "observed_at = :observed_at AND (CAST(:hash AS bytea) IS NULL OR payload_hash = :hash)"
)


@dataclass(frozen=True, slots=True)
class FoundRecords:
    """Raw records of an asset's listings. A pruned record has `pruned` instead of a payload."""

    records: Sequence[Mapping[str, Any]]
    version: int
    """The version of the data."""
    exists: bool
    """Whether the asset exists."""


def find_records(
    conn: Connection,
    slug: str,
    source: str | None,
    external_id: str | None,
    payload_hash: bytes | None,
    observed_at: datetime | None,
) -> FoundRecords:
    """Find for each listing the newest raw record, or the record of an instant or a hash.

    If several records of a listing match, it is the newest; of one instant, the one that counts.
    """
    parameters: dict[str, Any] = {
        "slug": slug.replace("\x00", "\n"),
        "source": source,
        "external_id": external_id,
    }
    stmt = NEWEST_RECORDS
    if observed_at is not None:
        stmt = RECORDS_OF_AN_INSTANT
        parameters |= {"hash": payload_hash, "observed_at": observed_at}
    elif payload_hash is not None:
        stmt, parameters = RECORDS_OF_A_HASH, {**parameters, "hash": payload_hash}
    rows = conn.execute(stmt, parameters).mappings().all()
    records = [
        {**row, "pruned": row if row["pruned_at"] else None}
        for row in rows
        if row["source"] is not None
    ]
    return FoundRecords(records, rows[0]["version"], rows[0]["exists"])
