"""Store the records of a batch, and which record of an instant was received last.

The record received last counts, because a provider corrects a value without a new time. The order
is stored with the records, so that `worker reprocess` restores it. Choosing by a property of the
record, such as the greater hash, would lose half of all corrections.
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, TextClause

from shared.schema.raw import RAW
from worker.database import partitions
from worker.database.periods import Period, span
from worker.database.statements import read_reusable, source_parts

# With the span of the batch, Postgres reads no other partition.
IN_SPAN = (
    "r.observed_at >= CAST(:start AS timestamptz) AND r.observed_at < CAST(:end AS timestamptz)"
)

KNOWN_BY_RAW = """{raw} AS r
    WHERE r.observed_at = f.observed_at AND r.external_id = f.external_id AND {in_span}"""

# After raw records were pruned, their observations show which records are known.
KNOWN_BY_OBSERVATIONS = """listings AS l JOIN observations AS r ON r.listing_id = l.id
    WHERE l.source = '{source}' AND l.external_id = f.external_id AND r.observed_at = f.observed_at
      AND {in_span}"""


def _insert_raw(source: str, known: str) -> TextClause:
    known = known.format(raw=RAW[source].name, source=source, in_span=IN_SPAN)
    return read_reusable(__file__, "receive.sql", known=known, **source_parts(source))["insert_raw"]


INSERT_RAW = {source: _insert_raw(source, KNOWN_BY_RAW) for source in RAW}
INSERT_RAW_PRUNED = {source: _insert_raw(source, KNOWN_BY_OBSERVATIONS) for source in RAW}


@dataclass(frozen=True, slots=True)
class Received:
    """The counts of new records, and of those that superseded another of their instant.

    A `revised` record is new, or stored and received again after another. `revision` describes one.
    """

    new: int = 0
    revised: int = 0
    revision: str | None = None


def receive(conn: Connection, source: str, run_id: int, periods: Collection[Period]) -> Received:
    """Store the new records in `staging`, and copy them to `fresh`.

    The same records again, in the same order, change nothing and return 0.
    """
    is_pruned = partitions.is_pruned(conn, source, periods)
    stmt = (INSERT_RAW_PRUNED if is_pruned else INSERT_RAW)[source]
    row = conn.execute(stmt, {"run_id": run_id, **span(periods)}).one()
    return Received(row.new, row.revised)


def describe_revision(row: Row[Any] | None) -> str | None:
    """Describe a record that superseded another, with both prices if they differ."""
    if row is None:
        return None
    at = f"{row.external_id!r} at {row.observed_at:%Y-%m-%d %H:%M:%SZ}"
    if row.was == row.price_usd:
        return at
    before, after = _price(row.was), _price(row.price_usd)
    return f"{at}: price_usd {before} became {after}"


def _price(price: Decimal | None) -> str:
    return "unknown" if price is None else f"{price:f}"
