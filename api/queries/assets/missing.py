"""The questions what there is instead of an asset, or of a listing, that there is not."""

from sqlalchemy import Connection, text

from api.request.problems import AssetNotFoundError, ListingNotFoundError

# Where the listings of an asset that is gone are now, however often they were moved since.
SUCCESSORS = text("""
SELECT DISTINCT a.slug
FROM removed_assets AS r
JOIN identity_events AS e ON e.from_asset_id = r.asset_id
JOIN listings AS l ON l.id = e.listing_id
JOIN assets AS a ON a.id = l.asset_id
WHERE r.slug = :slug
ORDER BY a.slug LIMIT 10
""")

LISTINGS = text("""
SELECT l.source, l.external_id FROM listings AS l
WHERE l.asset_id = (SELECT id FROM assets WHERE slug = :slug)
ORDER BY l.source, l.external_id
""")

MOST_NAMED = 10
"""How many listings a problem names; each namespace of CSV files may bring one."""


def asset_not_found(conn: Connection, slug: str) -> AssetNotFoundError:
    """Make the problem for a slug that no asset has; it names what became of one that had it."""
    successors = conn.scalars(SUCCESSORS, {"slug": slug.replace("\x00", "\n")}).all()
    if successors:
        now = ", ".join(f"/data/{successor}" for successor in successors)
        description = f"no asset {slug!r} any more: its listings are of {now} now"
        return AssetNotFoundError(description, successors)
    return AssetNotFoundError(f"no asset {slug!r}; /data?q={{text}} searches for one")


def require_listing(
    conn: Connection, slug: str, source: str | None, external_id: str | None
) -> None:
    """Check that an asset has a listing of that source and id, where they are given.

    Raises:
        ListingNotFoundError: it has none such; the problem names those that it has.
    """
    asked = {"source": source, "external_id": external_id}
    given = {name: value for name, value in asked.items() if value is not None}
    rows = conn.execute(LISTINGS, {"slug": slug.replace("\x00", "\n")}).mappings().all()
    if not given or any(given.items() <= dict(row).items() for row in rows):
        return
    such = " and ".join(f"{name} {value!r}" for name, value in given.items())
    there = [f"{row['source']} {row['external_id']!r}" for row in rows[:MOST_NAMED]]
    if len(rows) > MOST_NAMED:
        there.append(f"and {len(rows) - MOST_NAMED} more")
    has = ", ".join(there) or "none"
    raise ListingNotFoundError(f"{slug!r} has no listing with {such}; it has {has}")
