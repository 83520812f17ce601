"""Which asset a listing is.

For now a listing joins another source's when symbol and normalised name agree and are unique at
both sources; never by symbol alone. `identity.sql` says how; the evidence stays with the listing.
"""

from sqlalchemy import Connection

from worker.identity.names import slugify
from worker.statements import read_statements

LINK_SCORE = "0.900"
"""How sure a link by symbol and name is, from 0 to 1; an asset of its own is 1."""

STATEMENTS = read_statements("identity.sql")


def resolve(conn: Connection, run_id: int | None) -> list[int]:
    """Decide anew for the listings under `touched_keys`; return the assets they moved between.

    Under the identity lock only. An asset that is left without a listing is deleted, and every one
    that has no slug yet gets one. The same listings again change nothing.
    """
    _decide(conn)
    conn.execute(STATEMENTS["number_new_assets"])
    conn.execute(STATEMENTS["insert_new_assets"])
    conn.execute(STATEMENTS["record_events"], {"run_id": run_id})
    conn.execute(STATEMENTS["move_listings"])
    moved = list(conn.scalars(STATEMENTS["find_moved_assets"]))
    conn.execute(STATEMENTS["delete_left_assets"])
    nameless = conn.execute(STATEMENTS["find_nameless_assets"]).all()
    if nameless:
        slugs = [slugify(row.name, row.external_id) for row in nameless]
        conn.execute(
            STATEMENTS["give_slugs"], {"ids": [row.id for row in nameless], "slugs": slugs}
        )
    return moved


def create_touched_keys(conn: Connection) -> None:
    """Create the temporary table of symbols and names to decide on; again changes nothing."""
    conn.execute(STATEMENTS["create_touched_keys"])


def touch_every_key(conn: Connection) -> None:
    """Put every symbol and name that there is among the `touched_keys`."""
    conn.execute(STATEMENTS["touch_every_key"])


def decide_on_all(conn: Connection) -> None:
    """Fill `decisions` with what the rule says of every listing, and act on none of it."""
    create_touched_keys(conn)
    touch_every_key(conn)
    _decide(conn)


def _decide(conn: Connection) -> None:
    conn.execute(STATEMENTS["create_decisions"])
    conn.execute(STATEMENTS["decide"], {"link_score": LINK_SCORE})
