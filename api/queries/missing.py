"""The question why a slug names no asset: there never was one, or it is another one now."""

from sqlalchemy import Connection, text

from api.problems import AssetNotFoundError

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


def asset_not_found(conn: Connection, slug: str) -> AssetNotFoundError:
    """Make the problem for a slug that no asset has; it names what became of one that had it."""
    successors = conn.scalars(SUCCESSORS, {"slug": slug.replace("\x00", "\n")}).all()
    if successors:
        now = ", ".join(f"/data/{successor}" for successor in successors)
        return AssetNotFoundError(f"no asset {slug!r} any more: its listings are of {now} now")
    return AssetNotFoundError(f"no asset {slug!r}; /data?q={{text}} searches for one")
