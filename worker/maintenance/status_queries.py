"""Queries for the output of commands: sources, runs, checkpoints, budgets and rejects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Select,
    Text,
    column,
    func,
    literal,
    select,
)

from shared.model.catalogue import EXPECTATIONS, SOURCES
from shared.schema.market import assets, listings
from shared.schema.operations import (
    checkpoints,
    has_reason,
    has_state,
    reasons_by_kind,
    rejects,
    runs,
)
from shared.schema.raw import EVERY_RAW
from worker.fetch.budget import Usage
from worker.ingest.batch.rejects import OpenRejects

Rows = Sequence[Any]
"""Rows of a result, with their columns as attributes."""


def read_sources(conn: Connection) -> Rows:
    """Return the last run, totals and newest observation of each source; null if it never ran."""
    every = func.unnest(literal(list(SOURCES), ARRAY(Text))).table_valued(
        column("source", Text), with_ordinality="place"
    )
    every = every.render_derived(name="every")
    last = (
        select(runs.c.source, func.max(runs.c.id).label("id"))
        .where(runs.c.command != "retry")
        .group_by(runs.c.source)
        .subquery()
    )
    listed = (
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
            every.c.source,
            runs.c.id.label("run_id"),
            runs.c.command,
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
            listed.c.listings,
            listed.c.observed_at,
        )
        .select_from(every)
        .outerjoin(last, last.c.source == every.c.source)
        .outerjoin(runs, runs.c.id == last.c.id)
        .outerjoin(checkpoints, checkpoints.c.source == every.c.source)
        .outerjoin(listed, listed.c.source == every.c.source)
        .order_by(every.c.place)
    )
    return conn.execute(stmt).all()


def budget(usage: Usage) -> dict[str, Any]:
    """Return the use of a provider's budget; `runs_out_at` is null if it lasts the month."""
    return {
        "source": usage.source,
        "requests_used": usage.used,
        "requests_budget": usage.budget,
        "renews_at": usage.renews_at,
        "runs_out_at": usage.runs_out_at,
        "next_request_at": usage.next_request_at,
        "paused_until": usage.paused_until,
        "pause_reason": usage.pause_reason,
        "pause_said": usage.pause_said,
    }


def budget_sentence(usage: Usage) -> str:
    """Describe the use of a provider's budget in one sentence."""
    used = f"{usage.source}: {usage.used} of {usage.budget} requests of the month used"
    if usage.paused_until:
        return (
            f"{used}; paused until {usage.paused_until.astimezone(UTC):%Y-%m-%d %H:%M:%SZ} "
            f"({usage.pause_reason}); `worker budget reset {usage.source}` lifts the pause"
        )
    if not usage.left:
        return f"{used}; no request is sent before {usage.renews_at:%Y-%m-%d %H:%M:%SZ}"
    following = _next_request(usage)
    if usage.runs_out_at is None:
        lasts = f"the rest lasts until {usage.renews_at:%Y-%m-%d} at the current rate"
        return f"{used}; {lasts}{following}"
    return (
        f"{used}; the rest lasts until {usage.runs_out_at:%Y-%m-%d %H:%M:%SZ} at the current rate, "
        f"and the budget renews on {usage.renews_at:%Y-%m-%d}{following}"
    )


def _next_request(usage: Usage) -> str:
    """Describe when the rate allows the next request; nothing if it allows one now."""
    at = usage.next_request_at
    if at is None or at <= usage.instant:
        return ""
    return f"; the next request can be sent at {at:%Y-%m-%d %H:%M:%SZ}"


def expectations() -> list[dict[str, Any]]:
    """Return what is declared for each source; its runs are judged by that."""
    return [{"source": name, **EXPECTATIONS[name].dump()} for name in SOURCES]


def count_assets(conn: Connection) -> int:
    return int(conn.scalar(select(func.count()).select_from(assets)) or 0)


def count_raw(conn: Connection, source: str) -> int:
    return int(conn.scalar(select(func.count()).select_from(EVERY_RAW[source])) or 0)


def read_runs(conn: Connection, limit: int, source: str | None = None) -> Rows:
    """Return the newest runs, the newest first."""
    stmt = select(runs).order_by(runs.c.id.desc()).limit(limit)
    return conn.execute(_of_source(stmt, runs.c.source, source)).all()


def read_checkpoints(conn: Connection, source: str | None = None) -> Rows:
    stmt = select(checkpoints).order_by(checkpoints.c.source)
    return conn.execute(_of_source(stmt, checkpoints.c.source, source)).all()


@dataclass(frozen=True, slots=True)
class RejectFilter:
    """Selects refused records.

    `reason` is a part of a reason, `run_id` the run that saw the record first or last, and `state`
    one of `shared.model.runs.REJECT_STATES` or `all`. Without `ids`, those of any id are selected.
    """

    source: str | None = None
    reason: str | None = None
    run_id: int | None = None
    state: str = "open"
    ids: Sequence[int] = ()

    def apply(self, stmt: Select[Any]) -> Select[Any]:
        stmt = _of_source(stmt, rejects.c.source, self.source)
        if self.reason:
            stmt = stmt.where(has_reason(self.reason))
        if self.ids:
            stmt = stmt.where(rejects.c.id.in_(self.ids))
        if self.run_id is not None:
            seen_by = (rejects.c.first_run_id, rejects.c.last_run_id)
            stmt = stmt.where(literal(self.run_id).in_(seen_by))
        return stmt if self.state == "all" else stmt.where(has_state(self.state))


def read_rejects(conn: Connection, limit: int, query: RejectFilter) -> Rows:
    """Return the most recently seen rejects, without their payloads."""
    columns = [column for column in rejects.c if column is not rejects.c.payload]
    stmt = select(*columns).order_by(rejects.c.last_seen_at.desc(), rejects.c.id.desc())
    return conn.execute(query.apply(stmt).limit(limit)).all()


def read_reject(conn: Connection, reject_id: int) -> Any:
    """Return a reject with its payload; None if no reject has this id."""
    return conn.execute(select(rejects).where(rejects.c.id == reject_id)).one_or_none()


def has_rejects(conn: Connection, source: str, query: OpenRejects) -> bool:
    stmt = select(rejects.c.id).where(*query.of(source).conditions())
    return conn.execute(stmt.limit(1)).first() is not None


def find_missing_rejects(conn: Connection, ids: Sequence[int]) -> list[int]:
    """Return the ids that no reject has."""
    found = set(conn.scalars(select(rejects.c.id).where(rejects.c.id.in_(ids))))
    return [each for each in ids if each not in found]


def count_rejects(conn: Connection, query: RejectFilter) -> Rows:
    """Count rejects by source and kind of reason, with an example reason of each kind."""
    return conn.execute(query.apply(reasons_by_kind(rejects, "records"))).all()


def _of_source(stmt: Select[Any], column: Any, source: str | None) -> Select[Any]:
    return stmt if source is None else stmt.where(column == source)
