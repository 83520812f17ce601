"""The sources: their runs, checkpoints and the age of their data."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    Select,
    TableValuedAlias,
    Text,
    and_,
    column,
    func,
    literal,
    select,
    true,
    union_all,
)

from api.queries.operations.runs import duration
from shared.model.runs import OUTCOMES
from shared.schema.market import assets, listings
from shared.schema.operations import checkpoints, runs
from shared.schema.raw import EVERY_RAW

COUNTS = ("fetched", "new", "unchanged", "rejected")
"""Results of records. The columns of the tables are `records_fetched` and so on."""

RECENT_RUNS = 100
"""Number of a source's last runs for averages."""

USUAL_RUNS = 20
"""Number of a source's last successful runs for the usual duration."""


def read_sources(conn: Connection, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Return the checkpoint, current run, last run and recent runs of each source.

    Records, last success and last failure come from the checkpoint. Missing parts are None. The
    cost does not grow with the history, because keys and the runs' index are used. The current run
    is always a source's newest, because only one worker reads a source.
    """
    return [_source(row) for row in conn.execute(_sources(tuple(sources))).mappings()]


@lru_cache(maxsize=8)
def _sources(sources: tuple[str, ...]) -> Select[Any]:
    known = known_sources(sources)
    parts = {
        "newest_run": _newest_run(known, true(), "newest_run"),
        "last_run": _newest_run(known, runs.c.outcome != "running", "last_run"),
        "recent_runs": _recent_runs(known),
    }
    joined: FromClause = known
    for part in parts.values():
        joined = joined.outerjoin(part, true())
    parts["checkpoint"] = checkpoints
    joined = joined.outerjoin(checkpoints, checkpoints.c.source == known.c.source)
    columns = [c.label(f"{name}.{c.name}") for name, part in parts.items() for c in part.c]
    stmt = select(known.c.source, func.now().label("now"), *columns).select_from(joined)
    return stmt.order_by(known.c.place)


def read_loading(conn: Connection, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Return the last runs and the newest observation of each source, for its health.

    `is_sample`: the last run read the project's sample, because no file is configured. Imports are
    manual; they do not affect health. Stopped runs are ignored too. The cost does not grow with the
    history, because keys are used.
    """
    return [_loading(row) for row in conn.execute(_loadings(tuple(sources))).mappings()]


@lru_cache(maxsize=8)
def _loadings(sources: tuple[str, ...]) -> Select[Any]:
    known = known_sources(sources)
    own, judged = runs.c.command == "run", runs.c.reason.is_distinct_from("stopped")
    last_run = _newest_run(known, own & judged & (runs.c.outcome != "running"), "last_run")
    last_good = _newest_run(known, own & (runs.c.outcome == "succeeded"), "last_good")
    last_bad = _newest_run(
        known, own & judged & runs.c.outcome.in_(["partial", "failed"]), "last_bad"
    )
    first_bad = (
        select(runs.c.started_at)
        .where(
            runs_of(known),
            runs.c.id > func.coalesce(last_good.c.id, 0),
            own & judged & runs.c.outcome.in_(["partial", "failed"]),
        )
        .order_by(runs.c.source, runs.c.id)
        .limit(1)
        .lateral("first_bad")
    )
    took = (
        select((runs.c.finished_at - runs.c.started_at).label("took"))
        .where(runs_of(known), own & (runs.c.outcome == "succeeded"))
        .order_by(*NEWEST_FIRST)
        .limit(USUAL_RUNS)
        .correlate(known)
        .subquery("recent")
    )
    # The median, because a suspended machine can make a single run very long.
    usual = select(func.percentile_cont(0.5).within_group(took.c.took).label("took")).lateral(
        "usual"
    )
    newest = newest_observations(sources)
    is_sample = (
        select(checkpoints.c.cursor["sample"].as_boolean())
        .where(checkpoints.c.source == known.c.source)
        .scalar_subquery()
    )
    joined: FromClause = known
    for part in (last_run, last_good, last_bad, first_bad, usual):
        joined = joined.outerjoin(part, true())
    return (
        select(
            known.c.source,
            func.now().label("now"),
            *(c.label(f"last_run.{c.name}") for c in last_run.c),
            last_good.c.finished_at.label("last_success_at"),
            last_bad.c.finished_at.label("last_failure_at"),
            usual.c.took.label("usually_takes"),
            first_bad.c.started_at.label("failing_since"),
            newest.c.at.label("observed_at"),
            is_sample.label("is_sample"),
        )
        .select_from(joined.join(newest, newest.c.source == known.c.source))
        .order_by(known.c.place)
    )


def _loading(row: RowMapping) -> dict[str, Any]:
    flat = {label: value for label, value in row.items() if "." not in label}
    last_run = {
        label.removeprefix("last_run."): value for label, value in row.items() if "." in label
    }
    last_run["records"] = _records(last_run)
    return {**flat, "last_run": last_run if last_run["id"] is not None else None}


def known_sources(sources: Sequence[str]) -> TableValuedAlias:
    """Make a table of the sources and their order. VALUES would be compiled for each call."""
    names = literal(list(sources), ARRAY(Text))
    known = func.unnest(names).table_valued(column("source", Text), with_ordinality="place")
    return known.render_derived(name="known")


def newest_observations(sources: Sequence[str]) -> FromClause:
    """Make a table of the sources and the time `at` of their newest observation."""
    return union_all(
        *(
            select(
                literal(source).label("source"),
                func.max(EVERY_RAW[source].c.observed_at).label("at"),
            )
            for source in sources
        )
    ).subquery("newest")


def _source(row: RowMapping) -> dict[str, Any]:
    """Group the columns of a joined row by the part that they come from."""
    parts: dict[str, Any] = {}
    for label, value in row.items():
        name, _, each = label.partition(".")
        if each:
            parts.setdefault(name, {})[each] = value
    for part in ("last_run", "checkpoint"):
        parts[part]["records"] = _records(parts[part])
    checkpoint, last_run, recent = parts["checkpoint"], parts["last_run"], parts["recent_runs"]
    newest = parts["newest_run"]
    return {
        "source": row["source"],
        "now": row["now"],
        "running": newest if newest["outcome"] == "running" else None,
        "last_run": last_run if last_run["id"] is not None else None,
        "recent_runs": recent,
        "duration_seconds": {
            "last": last_run["duration_seconds"],
            "average": recent["average_duration_seconds"],
        },
        "checkpoint": checkpoint if checkpoint["source"] is not None else None,
        "records": checkpoint["records"],
        "last_success_at": checkpoint["last_success_at"],
        "last_failure_at": checkpoint["last_failure_at"],
    }


def _records(row: Any) -> dict[str, int]:
    return {name: row[f"records_{name}"] or 0 for name in COUNTS}


NEWEST_FIRST = (runs.c.source.desc(), runs.c.id.desc())


def runs_of(known: FromClause) -> ColumnElement[bool]:
    """Select the runs of a source as a range, to be ordered by source and id.

    Then only an index that begins with the source fits. With `=`, Postgres may look for the newest
    run in the order of the ids: for a source that never ran, it reads all runs of all sources.
    """
    return and_(runs.c.source >= known.c.source, runs.c.source <= known.c.source)


def _newest_run(known: FromClause, condition: ColumnElement[bool], name: str) -> FromClause:
    columns = ("id", "command", "outcome", "reason", "error", "started_at", "finished_at")
    return (
        select(
            *(runs.c[each] for each in columns),
            *(runs.c[f"records_{each}"] for each in COUNTS),
            duration(runs).label("duration_seconds"),
        )
        .where(runs_of(known), condition)
        .order_by(*NEWEST_FIRST)
        .limit(1)
        .lateral(name)
    )


def _recent_runs(known: FromClause) -> FromClause:
    newest = (
        select(runs.c.outcome, duration(runs).label("duration_seconds"))
        .where(runs_of(known), runs.c.outcome != "running")
        .order_by(*NEWEST_FIRST)
        .limit(RECENT_RUNS)
        .correlate(known)
        .subquery("newest")
    )
    counts = [
        func.count().filter(newest.c.outcome == outcome).label(outcome) for outcome in OUTCOMES
    ]
    average = func.round(func.avg(newest.c.duration_seconds), 3)
    return select(*counts, average.label("average_duration_seconds")).lateral("recent_runs")


def read_totals(conn: Connection) -> dict[str, Any]:
    """Return the number of assets, of listings and of processed records."""
    sums = [
        select(func.coalesce(func.sum(checkpoints.c[f"records_{name}"]), 0))
        .scalar_subquery()
        .label(f"records_{name}")
        for name in COUNTS
    ]
    counts = [
        select(func.count()).select_from(each).scalar_subquery().label(each.name)
        for each in (assets, listings)
    ]
    row = conn.execute(select(*counts, *sums)).mappings().one()
    return {"assets": row["assets"], "listings": row["listings"], "records": _records(row)}
