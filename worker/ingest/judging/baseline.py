"""Read what a source's earlier runs brought, as the baseline for judging a run (`outcome`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Numeric,
    ScalarSelect,
    and_,
    cast,
    func,
    or_,
    select,
    text,
)

from shared.model.catalogue import EXPECTATIONS
from shared.model.runs import CUT_OFF, IDS_CHANGED, PRICES_SHIFTED, TOO_MANY_REJECTS
from shared.schema.operations import checkpoints, has_state, rejects, runs
from worker.ingest.judging.ending import Baseline, RunFacts
from worker.ingest.judging.outcome import RECENT_RUNS
from worker.ingest.runs.journal import Checkpoint, was_judged


def read_unjudged(conn: Connection, source: str, run_id: int) -> RunFacts:
    """Sum the unjudged runs that this run continues."""
    own_runs = (runs.c.source == source, runs.c.command == "run")
    names = ("fetched", "new", "rejected", "revised", "unreadable")
    sums = (func.coalesce(func.sum(runs.c[f"records_{name}"]), 0) for name in names)
    stmt = select(*sums).where(*own_runs, _is_continued_by(own_runs, was_judged(), run_id))
    seen, new, rejected, revised, unreadable = map(
        int, conn.execute(stmt.where(_is_since_cleared(source))).one()
    )
    return RunFacts(seen, new, rejected, None, revised=revised, unreadable=unreadable)


def read_cut_off_runs(
    conn: Connection, source: str, command: str, run_id: int
) -> Mapping[int, int]:
    """Return {run id: new records} of the `CUT_OFF` runs directly before this one."""
    same_runs = (runs.c.source == source, runs.c.command == command)
    has_ended = func.coalesce(runs.c.reason, "").not_in(CUT_OFF)
    is_continued = _is_continued_by(same_runs, has_ended, run_id)
    stmt = select(runs.c.id, runs.c.records_new).where(*same_runs, is_continued)
    return {row.id: row.records_new for row in conn.execute(stmt)}


def _is_continued_by(
    same_runs: Sequence[ColumnElement[bool]], has_ended: ColumnElement[bool], run_id: int
) -> ColumnElement[bool]:
    """Whether a run is one of those that run `run_id` continues.

    These are the runs after the last one that `has_ended`, but none before the last that read its
    files from the start. `same_runs` are the conditions for runs of the same source and command.
    """
    earlier = (*same_runs, runs.c.id < run_id)
    last = select(func.coalesce(func.max(runs.c.id), 0)).where(*earlier, has_ended)
    is_after = runs.c.id > last.scalar_subquery()
    restarts = (*same_runs, is_after, runs.c.id <= run_id, runs.c.reads_anew)
    restart = select(func.coalesce(func.max(runs.c.id), 0)).where(*restarts).scalar_subquery()
    return and_(is_after, runs.c.id < run_id, runs.c.id >= restart)


@dataclass(frozen=True, slots=True)
class Changes:
    """How the records read since `began_at` differ from earlier ones."""

    prices_compared: int
    prices_jumped: int
    ids_replaced: int
    began_at: datetime | None


def read_changes(conn: Connection, source: str, run_id: int, *, resumed: bool) -> Changes:
    """Count the changes in this run and, if it `resumed`, in the runs that it continues."""
    own_runs = (runs.c.source == source, runs.c.command == "run", runs.c.id <= run_id)
    last = select(func.max(runs.c.id)).where(*own_runs, was_judged()).scalar_subquery()
    first = func.coalesce(last + 1, 0) if resumed else run_id
    names = ("prices_compared", "prices_jumped", "ids_replaced")
    sums = (func.coalesce(func.sum(runs.c[name]), 0).label(name) for name in names)
    stmt = select(*sums, func.min(runs.c.started_at).label("began_at"))
    row = conn.execute(stmt.where(*own_runs, runs.c.id >= first, _is_since_cleared(source))).one()
    return Changes(
        int(row.prices_compared), int(row.prices_jumped), int(row.ids_replaced), row.began_at
    )


def read_reference_run(conn: Connection, source: str) -> int | None:
    """Return the last successful run if a later one found shifted prices; otherwise None.

    Prices are compared with those of that run until they return, or until they are accepted with
    `worker checkpoint clear`.
    """
    own_runs = (runs.c.source == source, runs.c.command == "run", _is_since_cleared(source))
    succeeded = (*own_runs, runs.c.outcome == "succeeded")
    good = select(func.max(runs.c.id)).where(*succeeded).scalar_subquery()
    shifted = (*own_runs, runs.c.reason == PRICES_SHIFTED, runs.c.id > good)
    return conn.scalar(select(good).where(select(runs.c.id).where(*shifted).exists()))


def _is_since_cleared(source: str) -> ColumnElement[bool]:
    return runs.c.started_at > func.coalesce(_cleared_at(source), text("'-infinity'"))


def _cleared_at(source: str) -> ScalarSelect[Any]:
    stmt = select(checkpoints.c.cleared_at).where(checkpoints.c.source == source)
    return stmt.scalar_subquery()


def read_baseline(
    conn: Connection, source: str, checkpoint: Checkpoint, min_new_share: Decimal
) -> Baseline:
    """Read what the source's runs brought since its checkpoint was last cleared.

    Runs that were not successful, or that read only the rest of a snapshot, do not count for the
    share of rejects. `unchanged_for` counts from the last finished run, of any outcome, with a
    normal share of new records; without one, from the first run.
    """
    seen = runs.c.records_fetched + runs.c.records_known
    own_runs = (runs.c.source == source, runs.c.command == "run")
    shares = (
        select(cast(runs.c.records_rejected, Numeric) / seen)
        .where(
            *own_runs,
            runs.c.outcome == "succeeded",
            seen > 0,
            2 * seen >= (checkpoint.snapshot_records or 0),
            _is_since_cleared(source),
        )
        .order_by(runs.c.id.desc())
        .limit(RECENT_RUNS)
    )
    started = select(runs.c.started_at).where(*own_runs).order_by(runs.c.id)
    first = started.limit(1).scalar_subquery()
    newest = (
        select(runs.c.finished_at)
        .where(
            *own_runs,
            runs.c.outcome != "running",
            runs.c.records_new > 0,
            runs.c.records_new >= min_new_share * seen,
        )
        .order_by(runs.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    since = func.greatest(func.coalesce(newest, first), _cleared_at(source))
    is_of_rejects = checkpoint.last_reason == TOO_MANY_REJECTS
    has_rejects = is_of_rejects and _has_open_rejects(conn, source)
    return Baseline(
        checkpoint.snapshot_records,
        [Decimal(share) for share in conn.scalars(shares)],
        conn.scalar(select(func.now() - since)),
        None if is_of_rejects and not has_rejects else checkpoint.last_reason,
        _read_suspicion(conn, source),
        _read_listed(conn, EXPECTATIONS[source].listed_by),
    )


def _has_open_rejects(conn: Connection, source: str) -> bool:
    """Whether a reject since the last successful run is open, and its file still exists.

    Rejects of version 0.1.0 do not store their file.
    """
    succeeded = (
        runs.c.source == source,
        runs.c.command == "run",
        runs.c.outcome == "succeeded",
    )
    good = select(func.max(runs.c.id)).where(*succeeded).scalar_subquery()
    is_there = checkpoints.c.cursor["files"].has_key(rejects.c.file)
    stmt = (
        select(rejects.c.id)
        .join(checkpoints, checkpoints.c.source == rejects.c.source)
        .where(rejects.c.source == source, has_state("open"))
        .where(rejects.c.last_run_id > func.coalesce(good, 0))
        .where(or_(rejects.c.file.is_(None), is_there))
    )
    return conn.scalar(stmt.limit(1)) is not None


def _read_suspicion(conn: Connection, source: str) -> str | None:
    """Return the reason of the last judged run if it is `ids_changed` or `prices_shifted`."""
    last = (
        select(runs.c.reason)
        .where(runs.c.source == source, runs.c.command == "run", was_judged())
        .where(_is_since_cleared(source))
        .order_by(runs.c.id.desc())
        .limit(1)
    )
    reason: str | None = conn.scalar(last)
    return reason if reason in {IDS_CHANGED, PRICES_SHIFTED} else None


def _read_listed(conn: Connection, listed_by: str | None) -> int | None:
    """Return the number of coins in a provider's list, from its last successful run."""
    if listed_by is None:
        return None
    columns = runs.c
    stmt = (
        select(columns.records_fetched + columns.records_known - columns.records_rejected)
        .where(columns.source == listed_by, columns.command == "run")
        .where(columns.outcome == "succeeded", _is_since_cleared(listed_by))
    )
    return conn.scalar(stmt.order_by(columns.id.desc()).limit(1))
