"""Drift: differences between the shapes of the sources and the known shapes."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection

from api.queries.id_pages import Page, read_page
from shared.schema.operations import drift

COLUMNS = (
    "id",
    "source",
    "kind",
    "path",
    "detail",
    "share",
    "example",
    "records",
    "first_seen_at",
    "last_seen_at",
    "first_run_id",
    "last_run_id",
    "acknowledged_at",
)


def find_drift(
    conn: Connection, sources: Sequence[str], state: str, page_size: int, before: int | None
) -> Page:
    """Return a page of drift, `open`, `acknowledged` or `all`, newest first."""
    conditions: list[ColumnElement[bool]] = []
    if sources:
        conditions.append(drift.c.source.in_(sources))
    if state != "all":
        is_open = drift.c.acknowledged_at.is_(None)
        conditions.append(is_open if state == "open" else ~is_open)
    columns = [drift.c[name] for name in COLUMNS]
    return read_page(conn, drift, columns, [conditions], page_size, before)
