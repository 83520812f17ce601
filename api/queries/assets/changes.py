"""The changes since a version of the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Text,
    bindparam,
    false,
    func,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSON

from api.queries.assets.columns import ASSET_COLUMNS, json_line
from api.queries.assets.find import NEWEST
from api.queries.statements import Statement
from shared.schema.market import assets, removed_assets


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changes as lines of JSON, in commit order."""

    lines: Sequence[str]
    until: int
    """The next page starts after this version: that of the last change, or the requested one."""
    more: bool
    version: int
    """The version of the data."""
    changed_at: float | None


def find_changes(conn: Connection, since: int, page_size: int, *, strings: bool) -> ChangePage:
    """Return the changes after a version, oldest first.

    An asset that changed several times is listed once, as it is now. A removed asset is listed
    without its values. Versions rise in commit order, so a client that continues from `until`
    misses no change.
    """
    rows = _changes(strings).execute(conn, {"since": since, "first": page_size + 1})
    shown = [row for row in rows[:page_size] if row.line is not None]
    return ChangePage(
        lines=[row.line for row in shown],
        until=shown[-1].change if shown else since,
        more=len(rows) > page_size,
        version=rows[0].version,
        changed_at=None if rows[0].changed_at is None else float(rows[0].changed_at),
    )


@lru_cache(maxsize=2)
def _changes(strings: bool) -> Statement:
    since = bindparam("since", type_=BigInteger)
    first = bindparam("first", type_=Integer)
    changed = (
        select(
            assets.c.version,
            assets.c.slug,
            false().label("removed"),
            json_line(assets, ASSET_COLUMNS, strings=strings).cast(JSON).label("asset"),
        )
        .where(assets.c.version > since)
        .order_by(assets.c.version)
        .limit(first)
        .subquery("changed")
    )
    removed = (
        select(
            removed_assets.c.version,
            removed_assets.c.slug,
            true().label("removed"),
            null().cast(JSON).label("asset"),
        )
        .where(removed_assets.c.version > since)
        .order_by(removed_assets.c.version)
        .limit(first)
        .subquery("removed")
    )
    both = union_all(select(changed), select(removed)).subquery("both")
    page = select(both).order_by(both.c.version).limit(first).subquery("change")
    newest = NEWEST.subquery("newest")
    stmt = (
        select(
            page.c.version.label("change"),
            func.row_to_json(page.table_valued()).cast(Text).label("line"),
            newest.c.version,
            newest.c.changed_at,
        )
        .select_from(newest.outerjoin(page, true()))
        .order_by(page.c.version)
    )
    return Statement(stmt)
