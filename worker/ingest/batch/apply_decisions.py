"""Apply decisions of people, crosswalk files or snapshots to the assets of listings."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, text

from worker.identity import store
from worker.identity.resolver.evidence import Ref
from worker.ingest.batch import transaction

# The given listings, and all listings that share an asset with one of them.
TOUCH_LISTINGS = text("""
INSERT INTO touched_keys
SELECT DISTINCT o.symbol_key, o.name_key
FROM unnest(CAST(:sources AS text[]), CAST(:external_ids AS text[])) AS r (source, external_id)
JOIN listings AS l ON l.source = r.source AND l.external_id = r.external_id
JOIN listings AS o ON o.asset_id = l.asset_id
""")

DELETE_EMPTY_ASSETS = text("""
DELETE FROM assets AS a
WHERE id = ANY(CAST(:ids AS integer[])) AND NOT EXISTS (SELECT FROM listings WHERE asset_id = a.id)
""")

ANY_SOURCE = "csv"
"""The statements on assets are the same for every source, so the name of any will do."""


def decide_listings(conn: Connection, refs: Collection[Ref], moved: Iterable[int] = ()) -> None:
    """Decide on the listings as a batch does; unify their assets and the `moved` assets.

    The caller holds the identity lock. Listings that do not exist are ignored. Can be called again
    in the same transaction.
    """
    transaction.create_staging(conn, ANY_SOURCE)
    sources, external_ids = zip(*sorted(refs), strict=True) if refs else ((), ())
    keys = {"sources": list(sources), "external_ids": list(external_ids)}
    conn.execute(TOUCH_LISTINGS, keys)
    assets = sorted({*moved, *store.resolve(conn, None)})
    conn.execute(DELETE_EMPTY_ASSETS, {"ids": assets})
    transaction.unify_assets(conn, ANY_SOURCE, assets)
