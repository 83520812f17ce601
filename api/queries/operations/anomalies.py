"""Measurements of runs and of their earlier runs, for the anomaly rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Numeric,
    Select,
    Text,
    case,
    cast,
    func,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from api.queries.operations.anomaly_rules import HISTORY, LEAST_COMPARED, Measured
from api.queries.operations.runs import duration, share
from shared.model.runs import JUDGED
from shared.schema.operations import checkpoints, runs

SHOWN = ("id", "source", "started_at", "outcome")

MEASURES = ("volume", "duration", "rejected_share", "new_share", "jumped_share", "replaced_share")


@dataclass(frozen=True, slots=True)
class Examined:
    """The runs to examine: the newest `limit` that match."""

    sources: Sequence[str] = ()
    since: datetime | None = None
    before: int | None = None
    limit: int = 1


def measure_runs(conn: Connection, examined: Examined) -> list[Measured]:
    """Measure the newest complete runs, and the successful runs before each."""
    conditions = [*is_complete()]
    if examined.since is not None:
        conditions.append(runs.c.started_at >= examined.since)
    if examined.before is not None:
        conditions.append(runs.c.id < examined.before)
    by_source = [[runs.c.source == source, *conditions] for source in examined.sources]
    newest = [
        select(
            select(runs).where(*each).order_by(runs.c.id.desc()).limit(examined.limit).subquery()
        )
        for each in by_source or [conditions]
    ]
    found = union_all(*newest).subquery()
    return _measure(conn, select(found).order_by(found.c.id.desc()).limit(examined.limit))


def measure_run(conn: Connection, run_id: int) -> Measured | None:
    """Measure one run; None if it is an import or did not complete."""
    measured = _measure(conn, select(runs).where(runs.c.id == run_id, *is_complete()))
    return measured[0] if measured else None


def is_complete() -> list[ColumnElement[bool]]:
    """Return the conditions for complete runs, without imports, which can be compared."""
    return [
        runs.c.command == "run",
        or_(runs.c.outcome == "succeeded", runs.c.reason.in_(JUDGED)),
    ]


def _measure(conn: Connection, chosen: Select[Any]) -> list[Measured]:
    """Measure the chosen runs. The index `ix_runs_succeeded` finds the earlier runs of each."""
    judged = chosen.subquery("judged")
    earlier = _earlier(judged)
    aggregated = (
        select(
            *(
                func.array_agg(aggregate_order_by(earlier.c[name], earlier.c.id.desc()))
                .filter(earlier.c[name].is_not(None))
                .label(f"before_{name}")
                for name in MEASURES
            )
        )
        .select_from(earlier)
        .lateral("aggregated")
    )
    stmt = (
        select(*(judged.c[name] for name in SHOWN), *_measures(judged), aggregated)
        .select_from(judged.outerjoin(aggregated, true()))
        .order_by(judged.c.id.desc())
    )
    return list(_measured(conn.execute(stmt).mappings()))


def _earlier(judged: FromClause) -> FromClause:
    """Select the successful runs before a run, since the checkpoint was last cleared.

    `worker checkpoint clear` accepts a change; from then on the new values are the usual ones.
    """
    before = runs.alias("before")
    cleared_at = (
        select(checkpoints.c.cleared_at)
        .where(checkpoints.c.source == judged.c.source)
        .correlate(judged)
        .scalar_subquery()
    )
    return (
        select(before.c.id, *_measures(before))
        .where(
            before.c.source == judged.c.source,
            before.c.id < judged.c.id,
            before.c.command == "run",
            before.c.outcome == "succeeded",
            or_(
                cleared_at.is_(None),
                judged.c.started_at <= cleared_at,
                before.c.started_at > cleared_at,
            ),
        )
        .order_by(before.c.id.desc())
        .limit(HISTORY)
        .correlate(judged)
        .subquery("earlier")
    )


def _measures(table: FromClause) -> list[ColumnElement[Any]]:
    """Return the measures of a run; null if a measure has no meaning for it.

    Records of unchanged pages count as seen. A run that continued another run's snapshot has no
    volume and no duration.
    """
    seen = table.c.records_fetched + table.c.records_known
    is_whole = func.coalesce(cast(table.c.cursor_before, Text), "null") == "null"
    jumped = share(table.c.prices_jumped, table.c.prices_compared)
    return [
        case((is_whole, cast(seen, Numeric))).label("volume"),
        case((is_whole, duration(table))).label("duration"),
        share(table.c.records_rejected, seen).label("rejected_share"),
        share(table.c.records_new, seen).label("new_share"),
        case((table.c.prices_compared >= LEAST_COMPARED, jumped)).label("jumped_share"),
        share(table.c.ids_replaced, seen).label("replaced_share"),
    ]


def _measured(rows: Iterable[Any]) -> Iterable[Measured]:
    for row in rows:
        yield Measured(
            {name: row[name] for name in SHOWN},
            {name: row[name] for name in MEASURES},
            {name: row[f"before_{name}"] or [] for name in MEASURES},
        )
