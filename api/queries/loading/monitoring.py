"""The question how much stands open, for `/metrics`."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from api.queries.loading.sources import known_sources
from api.queries.loading.stats import count_open
from shared.schema.operations import drift, rejects, request_budgets


def read_open(conn: Connection, sources: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return for each source its open rejects and drift, and its requests of the calendar month."""
    known = known_sources(sources)
    month = func.date_trunc("month", func.timezone("UTC", func.now()))
    requests = (
        select(request_budgets.c.requests)
        .where(request_budgets.c.source == known.c.source, request_budgets.c.month >= month)
        .correlate(known)
        .scalar_subquery()
    )
    stmt = select(
        known.c.source,
        count_open(rejects, known, rejects.c.resolved_at).label("rejects"),
        count_open(drift, known, drift.c.acknowledged_at).label("drift"),
        func.coalesce(requests, 0).label("requests"),
    )
    return {row["source"]: dict(row) for row in conn.execute(stmt).mappings()}
