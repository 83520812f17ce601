"""What the questions after an asset's history share: whose it is, and how much of it is seen."""

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

# An asset without such listings gives one row.
FIND_LISTINGS = text(f"""
SELECT d.version, a.id AS asset_id, l.id, l.source, l.external_id, l.observed_at,
       {SEEN}::text AS seen
FROM dataset AS d LEFT JOIN assets AS a ON a.slug = :slug
LEFT JOIN listings AS l ON l.asset_id = a.id
  AND (CAST(:source AS text) IS NULL OR l.source = :source)
  AND (CAST(:external_id AS text) IS NULL OR l.external_id = :external_id)
ORDER BY l.source, l.external_id
""")  # noqa: S608  nothing in it is from outside

CHOSEN = f"""chosen AS MATERIALIZED (
  SELECT id, source COLLATE "C" AS source, external_id COLLATE "C" AS external_id, place,
         {KNOWN_UNTIL} AS known_until
  FROM unnest(CAST(:ids AS integer[]), CAST(:sources AS text[]), CAST(:external_ids AS text[]))
    WITH ORDINALITY AS given (id, source, external_id, place)
)"""  # noqa: S608  as above
"""The listings, until when each is known, and its `place` in the order of source and id."""


@dataclass(frozen=True, slots=True)
class Listings:
    """The listings of an asset whose history is asked for, and what there is to see of them."""

    ids: Sequence[int]
    sources: Sequence[str]
    external_ids: Sequence[str]
    newest: datetime | None
    """When the newest of all was observed."""
    seen: str | None
    """As `past.SEEN` says it."""
    version: int
    """Of the data."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose history is asked for, by when it must have been known, and how lines are written."""

    listings: Listings
    known_at: datetime | None
    seen: str | None
    """What a walk's first page saw, as `past.SEEN` says it."""
    csv: bool
    strings: bool

    def bind(self) -> dict[str, Any]:
        """Give the values that `CHOSEN` leaves open."""
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
    """Find an asset's listings, or those of one source or id; None where there is no asset."""
    given = {"slug": slug.replace("\x00", "\n"), "source": source, "external_id": external_id}
    rows = conn.execute(FIND_LISTINGS, given).all()
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
    """Say of which kinds a statement's columns are."""
    return text(sql).columns(*(column(name, TYPES[kind]) for name, kind in kinds.items()))
