"""Problems for missing assets and listings, which name alternatives."""

from sqlalchemy import Connection, text

from api.request.problems import AssetNotFoundError, ListingNotFoundError
from shared.schema.identity import SUCCESSORS

LISTINGS = text("""
SELECT l.source, l.external_id FROM listings AS l
WHERE l.asset_id = (SELECT id FROM assets WHERE slug = :slug)
ORDER BY l.source, l.external_id
""")

MOST_NAMED = 10
"""Listings that a problem names at most; each namespace of CSV files can add one."""


def asset_not_found(conn: Connection, slug: str) -> AssetNotFoundError:
    """Make the problem for an unknown slug. For a removed asset it names the successors."""
    successors = conn.scalars(SUCCESSORS, {"slug": slug.replace("\x00", "\n")}).all()
    if successors:
        now = ", ".join(f"/data/{successor}" for successor in successors)
        description = f"asset {slug!r} was removed; its listings belong to {now} now"
        return AssetNotFoundError(description, successors)
    return AssetNotFoundError(f"no asset has the slug {slug!r}; search with /data?q={{text}}")


def require_listing(
    conn: Connection, slug: str, source: str | None, external_id: str | None
) -> None:
    """Check that an asset has a listing with the given source and id.

    Raises:
        ListingNotFoundError: it has none; the problem names the existing listings.
    """
    parameters = {"source": source, "external_id": external_id}
    filters = {name: value for name, value in parameters.items() if value is not None}
    rows = conn.execute(LISTINGS, {"slug": slug.replace("\x00", "\n")}).mappings().all()
    if not filters or any(filters.items() <= dict(row).items() for row in rows):
        return
    missing = " and ".join(f"{name} {value!r}" for name, value in filters.items())
    existing = [f"{row['source']} {row['external_id']!r}" for row in rows[:MOST_NAMED]]
    if len(rows) > MOST_NAMED:
        existing.append(f"and {len(rows) - MOST_NAMED} more")
    names = ", ".join(existing) or "none"
    raise ListingNotFoundError(f"{slug!r} has no listing with {missing}; it has {names}")
