"""What listings were called before: noted in each batch, rebuilt from raw records."""

from collections.abc import Collection, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from worker.database.statements import read_reusable, shared_parts
from worker.identity.former_names import FORMER_NAMES

STATEMENTS = read_reusable(__file__, "renames.sql", former_names=FORMER_NAMES, **shared_parts())
LOGGED = 10
"""Of a batch that renames more, so many are named in the log; all are in `identity_events`."""

log = structlog.get_logger(__name__)


def note_renames(conn: Connection, run_id: int | None, *, rebuild: bool) -> list[int]:
    """Note how the listings in `newest` are called, and which were called otherwise before.

    Returns the listings that have another name or symbol than they had, or another one further.
    In a rebuild a name that is mended is no rename.
    """
    noted = set(conn.scalars(STATEMENTS["note_names"]))
    if not rebuild:
        renamed = conn.execute(STATEMENTS["record_renames"], {"run_id": run_id}).all()
        for row in renamed[:LOGGED]:
            log.warning("a listing was renamed", listing=row.external_id, was=row.was, now=row.now)
        if len(renamed) > LOGGED:
            log.warning("more listings were renamed", count=len(renamed) - LOGGED)
        noted.update(row.listing_id for row in renamed)
    return sorted(noted)


def say_renamed(conn: Connection, run_id: int) -> str | None:
    """Say how many listings a run renamed, with an example; None where it renamed none."""
    row = conn.execute(STATEMENTS["read_renamed"], {"run_id": run_id}).one_or_none()
    if row is None:
        return None
    these = "known id has" if row.listings == 1 else "known ids have"
    return (
        f"{row.listings} {these} another symbol or name now, such as {row.external_id!r}: "
        f"{row.was} became {row.now}; if they are ranks or row numbers, their column names no coin"
    )


def touch_renamed(conn: Connection, listing_ids: Collection[int]) -> int:
    """Put those that are evidence of another among the `touched_keys`; return how many.

    By a name of theirs, or by when they were first observed.
    """
    if not listing_ids:
        return 0
    asked = {"ids": list(listing_ids)}
    touched = conn.execute(STATEMENTS["touch_renamed"], asked).rowcount
    return touched + conn.execute(STATEMENTS["touch_beside_delisted"], asked).rowcount


def find_assets_of(conn: Connection, listing_ids: Collection[int]) -> list[int]:
    """Find which assets the listings are now."""
    if not listing_ids:
        return []
    return list(conn.scalars(STATEMENTS["find_assets_of"], {"ids": list(listing_ids)}))


def tell_former_names(conn: Connection, asset_ids: Collection[int]) -> int:
    """Have the assets say what else they are or were called; return how many changed."""
    return conn.execute(STATEMENTS["tell_former_names"], {"ids": list(asset_ids)}).rowcount


class RawNames:
    """All that a source's raw records call its listings, gathered from `fresh` by stretches."""

    def __init__(self, conn: Connection, source: str) -> None:
        self.conn = conn
        self.source = source
        conn.execute(STATEMENTS["create_raw_names"])
        pruned = conn.scalars(STATEMENTS["find_pruned"], {"source": source})
        self.unreadable: set[str] = set(pruned)

    def gather(self, rows: Sequence[Row[Any]], observed: Sequence[tuple[Row[Any], object]]) -> None:
        """Take in what is in `fresh`: what was `observed` of the raw records in `rows`."""
        self.conn.execute(STATEMENTS["gather_raw_names"])
        if len(observed) < len(rows):
            readable = {id(row) for row, _ in observed}
            self.unreadable |= {row.external_id for row in rows if id(row) not in readable}

    def rebuild(self) -> None:
        """Make `listing_names` say this of the source's listings, and nothing of any other."""
        for statement in ("delete_unsaid_names", "rebuild_names"):
            self.conn.execute(STATEMENTS[statement], self._asked)

    def find_damage(self) -> Sequence[Row[Any]]:
        """Find the listings of which `listing_names` says otherwise."""
        return self.conn.execute(STATEMENTS["names_are_what_raw_says"], self._asked).all()

    @property
    def _asked(self) -> dict[str, object]:
        return {"source": self.source, "unreadable": sorted(self.unreadable)}
