"""Which asset a listing is.

For now a listing joins another source's when symbol and normalised name agree and are unique at
both sources; never by symbol alone. `identity.sql` says how; the evidence stays with the listing.
"""

import re
import unicodedata
from functools import lru_cache

from sqlalchemy import Connection

from worker.statements import read_statements

LINK_SCORE = "0.900"
"""How sure a link by symbol and name is, from 0 to 1; an asset of its own is 1."""

LONGEST_KEY = 300
LONGEST_SLUG = 100

STATEMENTS = read_statements("identity.sql")

_SEPARATORS = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=100_000)
def normalise(label: str) -> str:
    """Bring a symbol or name to the form in which it is compared.

    Unicode NFKC (UAX #15), case folded, white space of any kind as one space. Words are kept. No
    more than `LONGEST_KEY` characters count: NFKC can make many of one, and an index holds so many.
    """
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())[:LONGEST_KEY]


def slugify(name: str, external_id: str) -> str:
    """Make a slug of an asset's name: `Wrapped Bitcoin` is `wrapped-bitcoin`.

    A name without Latin letters or digits leaves it to the external id; one in which that has none
    either is an `asset`.
    """
    for label in (name, external_id):
        plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
        slug = _SEPARATORS.sub("-", plain)[:LONGEST_SLUG].strip("-")
        if slug:
            return slug
    return "asset"


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
