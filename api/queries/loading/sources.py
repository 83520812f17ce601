"""Questions about sources: what their loading has done, and how fresh it is."""

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
    column,
    func,
    literal,
    select,
    true,
    union_all,
)

from api.queries.loading.runs import duration
from shared.model.runs import OUTCOMES
from shared.schema.market import assets, listings
from shared.schema.operations import checkpoints, runs
from shared.schema.raw import EVERY_RAW

COUNTS = ("fetched", "new", "unchanged", "rejected")
"""What becomes of records; the columns of the tables are named `records_fetched` and so on."""

RECENT_RUNS = 100
"""How many of a source's last runs its averages are made of."""

USUAL_RUNS = 20
"""How many of a source's last good runs say how long one takes."""


def read_sources(conn: Connection, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each source its checkpoint, its run at work, its last run and its recent runs.

    Records, last success and last failure are the checkpoint's. What a source never had is None.
    Everything is found through keys and the runs' index, whatever the length of the history: a run
    at work is a source's newest, since there is one worker at a source.
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
    """Return for each source what its own runs, and the data, say of how fresh it is.

    `is_sample` says that its last run read the project's sample because no file was chosen.
    An import is somebody's hand, and says nothing of the source. A run that was told to stop is
    neither good nor bad. Everything is found through keys, whatever the length of the history.
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
            runs.c.source == known.c.source,
            runs.c.id > func.coalesce(last_good.c.id, 0),
            own & judged & runs.c.outcome.in_(["partial", "failed"]),
        )
        .order_by(runs.c.id)
        .limit(1)
        .lateral("first_bad")
    )
    took = (
        select((runs.c.finished_at - runs.c.started_at).label("took"))
        .where(runs.c.source == known.c.source, own & (runs.c.outcome == "succeeded"))
        .order_by(runs.c.id.desc())
        .limit(USUAL_RUNS)
        .correlate(known)
        .subquery("recent")
    )
    # The median: a run that the machine slept through says nothing of the next.
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
    """Make a table of the sources and their places; VALUES would be compiled each time."""
    names = literal(list(sources), ARRAY(Text))
    known = func.unnest(names).table_valued(column("source", Text), with_ordinality="place")
    return known.render_derived(name="known")


def newest_observations(sources: Sequence[str]) -> FromClause:
    """Make a table of the sources and the time `at` which each was observed last, by its clock."""
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
    """Nest the columns of a joined row by the part that they come from."""
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


def _newest_run(known: FromClause, condition: ColumnElement[bool], name: str) -> FromClause:
    columns = ("id", "command", "outcome", "reason", "started_at", "finished_at")
    return (
        select(
            *(runs.c[each] for each in columns),
            *(runs.c[f"records_{each}"] for each in COUNTS),
            duration(runs).label("duration_seconds"),
        )
        .where(runs.c.source == known.c.source, condition)
        .order_by(runs.c.id.desc())
        .limit(1)
        .lateral(name)
    )


def _recent_runs(known: FromClause) -> FromClause:
    newest = (
        select(runs.c.outcome, duration(runs).label("duration_seconds"))
        .where(runs.c.source == known.c.source, runs.c.outcome != "running")
        .order_by(runs.c.id.desc())
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
    """Return how many assets and listings there are, and how many records were processed."""
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
