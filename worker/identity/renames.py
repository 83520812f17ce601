"""Former names of listings: recorded in each batch, rebuilt from raw records."""

from collections.abc import Collection, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from worker.database.statements import read_reusable, shared_parts
from worker.identity.former_names import FORMER_NAMES

STATEMENTS = read_reusable(__file__, "renames.sql", former_names=FORMER_NAMES, **shared_parts())
LOGGED = 10
"""Maximum number of renames of a batch in the log; all are in `identity_events`."""

log = structlog.get_logger(__name__)


def record_names(conn: Connection, run_id: int | None, *, rebuild: bool) -> list[int]:
    """Record the names of the listings in `newest`, and which of them were renamed.

    Returns the listings with a new present or former name, or one from an earlier time. In a
    rebuild, a corrected name is not a rename.
    """
    recorded = set(conn.scalars(STATEMENTS["insert_names"]))
    if not rebuild:
        renamed = conn.execute(STATEMENTS["record_renames"], {"run_id": run_id}).all()
        for row in renamed[:LOGGED]:
            log.warning("listing renamed", listing=row.external_id, was=row.was, now=row.now)
        if len(renamed) > LOGGED:
            log.warning("more listings renamed", count=len(renamed) - LOGGED)
        recorded.update(row.listing_id for row in renamed)
    return sorted(recorded)


def describe_renames(conn: Connection, run_id: int) -> str | None:
    """Return how many listings a run renamed, with an example, or None."""
    row = conn.execute(STATEMENTS["read_renamed"], {"run_id": run_id}).one_or_none()
    if row is None:
        return None
    these = "known id has" if row.listings == 1 else "known ids have"
    return (
        f"{row.listings} {these} another symbol or name now, such as {row.external_id!r}: "
        f"{row.was} became {row.now}; if they are ranks or row numbers, their column names no coin"
    )


def touch_renamed(conn: Connection, listing_ids: Collection[int]) -> int:
    """Touch those of the listings whose names or first observation are evidence on others.

    Returns the number of keys.
    """
    if not listing_ids:
        return 0
    asked = {"ids": list(listing_ids)}
    touched = conn.execute(STATEMENTS["touch_renamed"], asked).rowcount
    return touched + conn.execute(STATEMENTS["touch_beside_delisted"], asked).rowcount


def find_assets_of(conn: Connection, listing_ids: Collection[int]) -> list[int]:
    """Return the present assets of the listings."""
    if not listing_ids:
        return []
    return list(conn.scalars(STATEMENTS["find_assets_of"], {"ids": list(listing_ids)}))


def update_former_names(conn: Connection, asset_ids: Collection[int]) -> int:
    """Update the former names of the assets; return how many changed."""
    return conn.execute(STATEMENTS["update_former_names"], {"ids": list(asset_ids)}).rowcount


class RawNames:
    """All names in a source's raw records, collected from `fresh` in batches."""

    def __init__(self, conn: Connection, source: str) -> None:
        self.conn = conn
        self.source = source
        conn.execute(STATEMENTS["create_raw_names"])
        pruned = conn.scalars(STATEMENTS["find_pruned"], {"source": source})
        self.unreadable: set[str] = set(pruned)

    def collect(
        self, rows: Sequence[Row[Any]], observed: Sequence[tuple[Row[Any], object]]
    ) -> None:
        """Add the names in `fresh`: those of the `observed` among the raw records in `rows`."""
        self.conn.execute(STATEMENTS["collect_raw_names"])
        if len(observed) < len(rows):
            readable = {id(row) for row, _ in observed}
            self.unreadable |= {row.external_id for row in rows if id(row) not in readable}

    def rebuild(self) -> None:
        """Make `listing_names` equal to the collected names for the source's listings."""
        for statement in ("delete_other_names", "rebuild_names"):
            self.conn.execute(STATEMENTS[statement], self._asked)

    def find_damage(self) -> Sequence[Row[Any]]:
        """Find the listings whose `listing_names` differ."""
        return self.conn.execute(STATEMENTS["names_are_what_raw_says"], self._asked).all()

    @property
    def _asked(self) -> dict[str, object]:
        return {"source": self.source, "unreadable": sorted(self.unreadable)}
