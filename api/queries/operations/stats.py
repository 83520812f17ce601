"""Statistics of the worker's runs, by source and in total."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Numeric,
    RowMapping,
    Table,
    cast,
    extract,
    func,
    select,
    true,
)

from api.queries.operations.runs import duration, phase_columns, take_phases
from api.queries.operations.schedule import read_schedule
from api.queries.operations.sources import (
    NEWEST_FIRST,
    RECENT_RUNS,
    known_sources,
    newest_observations,
    read_sources,
    read_totals,
    runs_of,
)
from shared.model.runs import OUTCOMES
from shared.schema.operations import checkpoints, drift, rejects, request_budgets, runs
from shared.settings import Settings


def read_stats(conn: Connection, names: Sequence[str], settings: Settings) -> dict[str, Any]:
    """Return the statistics of these sources, and their totals."""
    parts = (
        read_sources(conn, names),
        _read_more(conn, names),
        read_schedule(conn, names, settings),
    )
    sources = [
        {**_joined(known, more), **schedule} for known, more, schedule in zip(*parts, strict=True)
    ]
    return {"sources": sources, "totals": {**read_totals(conn), **_total(sources)}}


def _read_more(conn: Connection, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the statistics that `read_sources` does not have, for each source.

    The cost does not grow with the history, because keys are used.
    """
    known = known_sources(names)
    recent, last = _recent(known), _last_phases(known)
    newest = newest_observations(names)
    stmt = (
        select(
            known.c.source,
            newest.c.at.label("newest_observation_at"),
            *(
                func.round(extract("epoch", func.now() - at), 3).label(f"lag_{name}")
                for name, at in (
                    ("newest_observation", newest.c.at),
                    ("last_success", checkpoints.c.last_success_at),
                )
            ),
            count_open(rejects, known, rejects.c.resolved_at).label("open_rejects"),
            count_open(drift, known, drift.c.acknowledged_at).label("open_drift"),
            recent,
            last,
        )
        .select_from(
            known.outerjoin(recent, true())
            .outerjoin(last, true())
            .join(newest, newest.c.source == known.c.source)
            .outerjoin(checkpoints, checkpoints.c.source == known.c.source)
        )
        .order_by(known.c.place)
    )
    return [_more(row) for row in conn.execute(stmt).mappings()]


def _recent(known: FromClause) -> FromClause:
    """Sum up the durations and records of the last finished runs of a source."""
    finished = (
        select(duration(runs).label("took"), runs.c.records_fetched, runs.c.outcome, runs.c.reason)
        .where(runs_of(known), runs.c.outcome != "running")
        .order_by(*NEWEST_FIRST)
        .limit(RECENT_RUNS)
        .correlate(known)
        .subquery("finished")
    )
    median = func.percentile_cont(0.5).within_group(finished.c.took)
    was_not_stopped = finished.c.reason.is_distinct_from("stopped")
    return select(
        func.round(cast(median, Numeric), 3).label("median_duration"),
        func.sum(finished.c.took).label("took"),
        func.sum(finished.c.records_fetched).label("fetched"),
        func.count().filter(was_not_stopped).label("judged"),
        func.count().filter(finished.c.outcome == "succeeded").label("succeeded"),
    ).lateral("recent")


def _last_phases(known: FromClause) -> FromClause:
    return (
        select(runs.c.id.label("last_run_id"), *phase_columns(runs))
        .where(runs_of(known), runs.c.outcome != "running")
        .order_by(*NEWEST_FIRST)
        .limit(1)
        .lateral("last")
    )


def count_open(table: Table, known: FromClause, closed_at: ColumnElement[Any]) -> Any:
    """Count the open rows of a source."""
    return (
        select(func.count())
        .select_from(table)
        .where(table.c.source == known.c.source, closed_at.is_(None))
        .correlate(known)
        .scalar_subquery()
    )


LAGS = ("newest_observation", "last_success")


def _more(row: RowMapping) -> dict[str, Any]:
    phases = take_phases(dict(row))
    return {
        **{name: row[name] for name in ("newest_observation_at", "open_rejects", "open_drift")},
        "lag_seconds": {name: row[f"lag_{name}"] for name in LAGS},
        "last_run_phase_seconds": phases if row["last_run_id"] is not None else None,
        "median_duration": row["median_duration"],
        "took": row["took"] or 0,
        "fetched": row["fetched"] or 0,
        "succeeded": row["succeeded"],
        "judged": row["judged"],
    }


def _joined(known: Mapping[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Merge the results of both queries for a source."""
    median = more.pop("median_duration")
    return {
        **known,
        **more,
        **_rates(more),
        "duration_seconds": {**known["duration_seconds"], "median": median},
    }


def _total(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the sources; the total lag is the smallest lag of all sources."""
    added = ("open_rejects", "open_drift", "took", "fetched", "succeeded", "judged")
    sums = {name: sum(each[name] for each in sources) for name in added}
    lags = {
        name: min(
            (lag for each in sources if (lag := each["lag_seconds"][name]) is not None),
            default=None,
        )
        for name in LAGS
    }
    recent = {
        outcome: sum(each["recent_runs"][outcome] for each in sources) for outcome in OUTCOMES
    }
    return {**sums, **_rates(sums), "lag_seconds": lags, "recent_runs": recent}


def _rates(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Return the records per second and the success rate of the recent runs."""
    return {
        "records_per_second": _divided(sums["fetched"], sums["took"], Decimal("0.001")),
        "success_rate": _divided(sums["succeeded"], sums["judged"], Decimal("0.0001")),
    }


def _divided(part: Any, whole: Any, to: Decimal) -> Decimal | None:
    return (Decimal(part) / Decimal(whole)).quantize(to) if whole else None


def read_open(conn: Connection, sources: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what `/metrics` shows of each source: open rejects and drift, the month's requests."""
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
