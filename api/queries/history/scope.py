"""The scope of a query for an asset's history: its listings, and how much of it is visible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    TextualSelect,
    column,
    text,
)

from api.queries.assets.past import KNOWN_UNTIL, SEEN

TYPES: Mapping[type, Any] = {
    str: Text(collation="C"),
    Decimal: Numeric(),
    datetime: DateTime(timezone=True),
    bytes: LargeBinary(),
    int: Integer(),
    list: ARRAY(Text),
}

# An asset without matching listings gives one row.
FIND_LISTINGS = text(f"""
SELECT d.version, a.id AS asset_id, l.id, l.source, l.external_id, l.observed_at,
       {SEEN}::text AS seen
FROM dataset AS d LEFT JOIN assets AS a ON a.slug = :slug
LEFT JOIN listings AS l ON l.asset_id = a.id
  AND (CAST(:source AS text) IS NULL OR l.source = :source)
  AND (CAST(:external_id AS text) IS NULL OR l.external_id = :external_id)
ORDER BY l.source, l.external_id
""")  # noqa: S608  no external input

CHOSEN = f"""chosen AS MATERIALIZED (
  SELECT id, source COLLATE "C" AS source, external_id COLLATE "C" AS external_id, place,
         {KNOWN_UNTIL} AS known_until
  FROM unnest(CAST(:ids AS integer[]), CAST(:sources AS text[]), CAST(:external_ids AS text[]))
    WITH ORDINALITY AS given (id, source, external_id, place)
)"""  # noqa: S608  no external input
"""The listings, each with `known_until` and its `place` in the order of source and id."""


@dataclass(frozen=True, slots=True)
class Listings:
    """The selected listings of an asset."""

    ids: Sequence[int]
    sources: Sequence[str]
    external_ids: Sequence[str]
    newest: datetime | None
    """The time of the newest observation."""
    seen: str | None
    """The present value of `past.SEEN`."""
    version: int
    """The version of the data."""


@dataclass(frozen=True, slots=True)
class HistoryScope:
    """The listings of a history, the latest load time of its records, and the format of lines."""

    listings: Listings
    known_at: datetime | None
    seen: str | None
    """The value of `past.SEEN` at a walk's first page."""
    csv: bool
    strings: bool

    def bind(self) -> dict[str, Any]:
        """Return the values for the parameters of `CHOSEN`."""
        return {
            "ids": list(self.listings.ids),
            "sources": list(self.listings.sources),
            "external_ids": list(self.listings.external_ids),
            "known_at": self.known_at,
            "seen": self.seen,
        }


def find_listings(
    conn: Connection, slug: str, source: str | None, external_id: str | None
) -> Listings | None:
    """Find an asset's listings, optionally of one source or id; None if the asset is missing."""
    slug = slug.replace("\x00", "\n")
    parameters = {"slug": slug, "source": source, "external_id": external_id}
    rows = conn.execute(FIND_LISTINGS, parameters).all()
    if rows[0].asset_id is None:
        return None
    found = [row for row in rows if row.id is not None]
    return Listings(
        ids=[row.id for row in found],
        sources=[row.source for row in found],
        external_ids=[row.external_id for row in found],
        newest=max((row.observed_at for row in found), default=None),
        seen=rows[0].seen,
        version=rows[0].version,
    )


def typed(sql: str, kinds: Mapping[str, type]) -> TextualSelect:
    """Declare the types of a statement's columns."""
    return text(sql).columns(*(column(name, TYPES[kind]) for name, kind in kinds.items()))
