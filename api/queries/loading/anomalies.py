"""The question what was measured of runs, and of each one's earlier runs."""

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

from api.queries.loading.anomaly_rules import HISTORY, LEAST_COMPARED, Measured
from api.queries.loading.runs import duration, share
from shared.model.runs import JUDGED
from shared.schema.operations import checkpoints, runs

SHOWN = ("id", "source", "started_at", "outcome")

MEASURES = ("volume", "duration", "rejected_share", "new_share", "jumped_share", "replaced_share")


@dataclass(frozen=True, slots=True)
class Examined:
    """Which runs to examine: the newest `limit` of them."""

    sources: Sequence[str] = ()
    since: datetime | None = None
    before: int | None = None
    limit: int = 1


def measure_runs(conn: Connection, wanted: Examined) -> list[Measured]:
    """Measure the newest runs that can be judged, and the good runs before each."""
    own = [*is_judged()]
    if wanted.since is not None:
        own.append(runs.c.started_at >= wanted.since)
    if wanted.before is not None:
        own.append(runs.c.id < wanted.before)
    stretches = [[runs.c.source == source, *own] for source in wanted.sources] or [own]
    newest = [
        select(
            select(runs).where(*stretch).order_by(runs.c.id.desc()).limit(wanted.limit).subquery()
        )
        for stretch in stretches
    ]
    found = union_all(*newest).subquery()
    return _measure(conn, select(found).order_by(found.c.id.desc()).limit(wanted.limit))


def measure_run(conn: Connection, run_id: int) -> Measured | None:
    """Measure one run; None where it is none that can be judged."""
    measured = _measure(conn, select(runs).where(runs.c.id == run_id, *is_judged()))
    return measured[0] if measured else None


def is_judged() -> list[ColumnElement[bool]]:
    """Whether a source's own run came to its end, and so can be compared with others."""
    return [
        runs.c.command == "run",
        or_(runs.c.outcome == "succeeded", runs.c.reason.in_(JUDGED)),
    ]


def _measure(conn: Connection, chosen: Select[Any]) -> list[Measured]:
    """Measure the chosen runs; each one's earlier runs are found through `ix_runs_succeeded`."""
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
    """The good runs before a run: of those after its checkpoint was cleared, where it was.

    What is accepted with `worker checkpoint clear` is what is usual from then on.
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
    """What is measured of a run; null where it says nothing.

    Records of pages that had not changed count as seen. Whoever goes on where another run broke off
    sees the rest only, and takes as long as that takes.
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
