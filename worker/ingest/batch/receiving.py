"""Storing what a batch received: new records, and which of one instant was received last.

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

# With the span of the batch, Postgres plans no look into other partitions.
IN_SPAN = (
    "r.observed_at >= CAST(:start AS timestamptz) AND r.observed_at < CAST(:end AS timestamptz)"
)

KNOWN_BY_RAW = """{raw} AS r
    WHERE r.observed_at = f.observed_at AND r.external_id = f.external_id AND {in_span}"""

# What an observation was made of is known, though its raw record was pruned.
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
    """How many records were new, and how many changed what is known of their instant.

    Those that did are new, or known and received again after another. `revision` shows one.
    """

    new: int = 0
    revised: int = 0
    revision: str | None = None


def receive(conn: Connection, source: str, run_id: int, periods: Collection[Period]) -> Received:
    """Store what `staging` holds and was not known; give it to `fresh`.

    The same again, in the same order, changes nothing and returns 0.
    """
    is_pruned = partitions.is_pruned(conn, source, periods)
    stmt = (INSERT_RAW_PRUNED if is_pruned else INSERT_RAW)[source]
    row = conn.execute(stmt, {"run_id": run_id, **span(periods)}).one()
    return Received(row.new, row.revised)


def describe_revision(row: Row[Any] | None) -> str | None:
    """Name a record that prevails over another, with its price where that changed."""
    if row is None:
        return None
    at = f"{row.external_id!r} at {row.observed_at:%Y-%m-%d %H:%M:%SZ}"
    if row.was == row.price_usd:
        return at
    was, now = (_price(each) for each in (row.was, row.price_usd))
    return f"{at}: price_usd {was} became {now}"


def _price(price: Decimal | None) -> str:
    return "unknown" if price is None else f"{price:f}"
