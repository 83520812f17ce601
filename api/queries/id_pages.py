"""Pages of a table's rows by id, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select, true, union_all


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows; `end` is the position of its last row, None on the last page.

    For rows that are paged by id, the next page starts below that id.
    """

    rows: Sequence[Mapping[Any, Any]]
    total: int
    end: Any


def read_page(
    conn: Connection,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    conditions: Sequence[Sequence[ColumnElement[bool]]],
    page_size: int,
    before: int | None,
) -> Page:
    """Return the newest rows below an id, and the total on all pages.

    `conditions` are disjoint sets of rows, such as one per source. Each set is read separately in
    the order of the ids, so that Postgres can use an index.
    """
    first = page_size + 1  # one more row than the page shows whether another page exists
    start = [] if before is None else [table.c.id < before]
    parts = [
        select(
            select(*columns)
            .where(*part, *start)
            .order_by(table.c.id.desc())
            .limit(first)
            .subquery()
        )
        for part in conditions
    ]
    found = union_all(*parts).subquery()
    page = select(found).order_by(found.c.id.desc()).limit(first).cte("page")
    counts = [
        select(func.count()).select_from(table).where(*part).scalar_subquery()
        for part in conditions
    ]
    total = select(sum(counts[1:], start=counts[0]).label("total")).cte("counted")
    joined = total.outerjoin(page, true())
    stmt = select(total.c.total, page).select_from(joined).order_by(page.c.id.desc())
    rows = conn.execute(stmt).mappings().all()
    shown = [row for row in rows if row["id"] is not None][:page_size]
    return Page(shown, rows[0]["total"], shown[-1]["id"] if len(rows) > page_size else None)
