"""What the worker's commands show: sources, runs, checkpoints, rejects."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select

from shared.tables import RAW, assets, checkpoints, listings, rejects, runs

Rows = Sequence[Any]
"""Rows of a result, their columns as attributes."""


def read_sources(conn: Connection) -> Rows:
    """Each source that ever ran: its last run, its totals, its freshest observation."""
    last = select(runs.c.source, func.max(runs.c.id).label("id")).group_by(runs.c.source).subquery()
    held = (
        select(
            listings.c.source,
            func.count().label("listings"),
            func.max(listings.c.observed_at).label("observed_at"),
        )
        .group_by(listings.c.source)
        .subquery()
    )
    stmt = (
        select(
            runs.c.source,
            runs.c.id.label("run_id"),
            runs.c.outcome,
            runs.c.reason,
            runs.c.error,
            runs.c.started_at,
            runs.c.finished_at,
            checkpoints.c.last_success_at,
            checkpoints.c.last_failure_at,
            checkpoints.c.records_fetched,
            checkpoints.c.records_new,
            checkpoints.c.records_unchanged,
            checkpoints.c.records_rejected,
            held.c.listings,
            held.c.observed_at,
        )
        .join(last, last.c.id == runs.c.id)
        .outerjoin(checkpoints, checkpoints.c.source == runs.c.source)
        .outerjoin(held, held.c.source == runs.c.source)
        .order_by(runs.c.source)
    )
    return conn.execute(stmt).all()


def count_assets(conn: Connection) -> int:
    return int(conn.scalar(select(func.count()).select_from(assets)) or 0)


def count_raw(conn: Connection, source: str) -> int:
    return int(conn.scalar(select(func.count()).select_from(RAW[source])) or 0)


def read_runs(conn: Connection, limit: int, source: str | None = None) -> Rows:
    """The newest runs, newest first."""
    stmt = select(runs).order_by(runs.c.id.desc()).limit(limit)
    return conn.execute(_of_source(stmt, runs.c.source, source)).all()


def read_checkpoints(conn: Connection, source: str | None = None) -> Rows:
    stmt = select(checkpoints).order_by(checkpoints.c.source)
    return conn.execute(_of_source(stmt, checkpoints.c.source, source)).all()


def read_rejects(
    conn: Connection, limit: int, source: str | None = None, reason: str | None = None
) -> Rows:
    """The refused records seen last; `reason` is a part of one of their reasons."""
    stmt = select(rejects).order_by(rejects.c.last_seen_at.desc(), rejects.c.id.desc())
    stmt = _of_source(stmt, rejects.c.source, source)
    if reason:
        stmt = stmt.where(func.strpos(rejects.c.reasons.astext, reason) > 0)
    return conn.execute(stmt.limit(limit)).all()


def count_rejects(conn: Connection, source: str | None = None) -> Rows:
    """How many records are refused, by source and reason; one with two reasons counts in both."""
    reason = func.jsonb_array_elements_text(rejects.c.reasons).table_valued("value")
    stmt = (
        select(rejects.c.source, reason.c.value.label("reason"), func.count().label("records"))
        .select_from(rejects.join(reason, onclause=func.now().is_not(None)))
        .where(rejects.c.resolved_at.is_(None))
        .group_by(rejects.c.source, reason.c.value)
        .order_by(func.count().desc(), rejects.c.source, reason.c.value)
    )
    return conn.execute(_of_source(stmt, rejects.c.source, source)).all()


def _of_source(stmt: Select[Any], column: Any, source: str | None) -> Select[Any]:
    return stmt if source is None else stmt.where(column == source)
