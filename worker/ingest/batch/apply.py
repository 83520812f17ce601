"""Deciding anew for listings of which a person or a file has said something."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, text

from worker.identity import decide
from worker.identity.resolver.evidence import Ref
from worker.ingest.batch import transaction

# The listings named, and those that are one asset with one of them now.
TOUCH_LISTINGS = text("""
INSERT INTO touched_keys
SELECT DISTINCT o.symbol_key, o.name_key
FROM unnest(CAST(:sources AS text[]), CAST(:external_ids AS text[])) AS r (source, external_id)
JOIN listings AS l ON l.source = r.source AND l.external_id = r.external_id
JOIN listings AS o ON o.asset_id = l.asset_id
""")

# Of those that a decision moved listings out of.
DELETE_LEFT_ASSETS = text("""
DELETE FROM assets AS a
WHERE id = ANY(CAST(:ids AS integer[])) AND NOT EXISTS (SELECT FROM listings WHERE asset_id = a.id)
""")

ANY_SOURCE = "csv"
"""Statements on assets are the same for every source."""


def decide_anew(conn: Connection, refs: Collection[Ref], moved: Iterable[int] = ()) -> None:
    """Decide for the listings as a batch would, and unify their assets and the `moved` ones.

    Under the identity lock only. A listing that is not there yet is left out. May be called again
    in the same transaction.
    """
    transaction.create_staging(conn, ANY_SOURCE)
    sources, external_ids = zip(*sorted(refs), strict=True) if refs else ((), ())
    keys = {"sources": list(sources), "external_ids": list(external_ids)}
    conn.execute(TOUCH_LISTINGS, keys)
    concerned = sorted({*moved, *decide.resolve(conn, None)})
    conn.execute(DELETE_LEFT_ASSETS, {"ids": concerned})
    transaction.unify_assets(conn, ANY_SOURCE, concerned)
