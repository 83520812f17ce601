"""The question how much stands open, for `/metrics`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Text, column, func, select, values

from shared.tables import assets, drift, rejects, removed_assets, request_budgets


def read_open(conn: Connection, sources: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return for each source its open rejects and drift, and its requests of the calendar month."""
    known = values(column("source", Text), name="known").data([(source,) for source in sources])
    open_rejects = (
        select(func.count())
        .where(rejects.c.source == known.c.source, rejects.c.resolved_at.is_(None))
        .scalar_subquery()
    )
    open_drift = (
        select(func.count())
        .where(drift.c.source == known.c.source, drift.c.acknowledged_at.is_(None))
        .scalar_subquery()
    )
    month = func.date_trunc("month", func.timezone("UTC", func.now()))
    requests = (
        select(request_budgets.c.requests)
        .where(request_budgets.c.source == known.c.source, request_budgets.c.month >= month)
        .scalar_subquery()
    )
    stmt = select(
        known.c.source,
        open_rejects.label("rejects"),
        open_drift.label("drift"),
        func.coalesce(requests, 0).label("requests"),
    )
    return {row["source"]: dict(row) for row in conn.execute(stmt).mappings()}


def read_dataset_version(conn: Connection) -> int:
    """Return the version of the newest change that a reader can see; 0 while there is none."""
    newest = select(
        func.greatest(
            select(func.max(assets.c.version)).scalar_subquery(),
            select(func.max(removed_assets.c.version)).scalar_subquery(),
            0,
        )
    )
    return int(conn.scalar(newest) or 0)
