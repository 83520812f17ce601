"""Run rows and checkpoints: where a source stands, and how its runs ended."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Numeric,
    ScalarSelect,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.db import reachable
from shared.expectations import EXPECTATIONS
from shared.records import Cursor
from shared.runs import IDS_CHANGED, PRICES_SHIFTED, WEIGHED
from shared.tables import checkpoints, pending_ids, rejects, runs
from worker.identity.apply import decide_anew
from worker.locks import lock_identity, locked
from worker.outcome import RECENT_RUNS, Ending, Normal
from worker.store import Counts

SNAPSHOT_DECLINE = Decimal("0.99")
"""What a whole snapshot is expected to have falls no faster than this from one to the next.

Otherwise a source that answers a little less each time would set its own standard.
"""

AGAIN_AFTER = timedelta(hours=1)
"""How long a source that is read seldom is left alone after a run that was not good."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a source stands: its cursor, and the validators of its pages.

    `snapshot_progress` counts the snapshot under way, `snapshot_records` is how many a whole one is
    expected to have; `last_reason` is what the last of its runs that were weighed was found to be.
    """

    cursor: Cursor | None = None
    validators: Mapping[str, str] = field(default_factory=dict)
    snapshot_progress: int = 0
    snapshot_records: int | None = None
    last_reason: str | None = None


def read_due(conn: Connection, sources: Sequence[str]) -> list[str]:
    """Return those of the sources that have their turn now, in their order.

    One that is read seldom has none while its last good run is younger than it declares, and not
    within `AGAIN_AFTER` of one that was not good, unless its checkpoint was cleared since.
    """
    own = (runs.c.source, func.max(runs.c.started_at).label("at"))
    last = select(*own).where(runs.c.command == "run").group_by(runs.c.source).subquery()
    good = (
        select(*own)
        .where(runs.c.command == "run", runs.c.outcome == "succeeded")
        .group_by(runs.c.source)
        .subquery()
    )
    stmt = (
        select(
            last.c.source,
            (func.now() - last.c.at).label("since_last"),
            (func.now() - good.c.at).label("since_good"),
        )
        .outerjoin(good, good.c.source == last.c.source)
        .outerjoin(checkpoints, checkpoints.c.source == last.c.source)
        .where(
            last.c.source.in_([each for each in sources if EXPECTATIONS[each].read_every]),
            or_(checkpoints.c.cleared_at.is_(None), checkpoints.c.cleared_at < last.c.at),
        )
    )
    read = {row.source: row for row in conn.execute(stmt)}

    def is_due(source: str) -> bool:
        row, every = read.get(source), EXPECTATIONS[source].read_every
        if row is None or every is None:
            return True
        is_old = row.since_good is None or row.since_good >= every
        return bool(is_old and row.since_last >= AGAIN_AFTER)

    return [source for source in sources if is_due(source)]


def start_run(conn: Connection, source: str, command: str, cursor: Cursor | None) -> int:
    """Open a run row for this process and return its id."""
    stmt = (
        insert(runs)
        .values(
            source=source,
            command=command,
            outcome="running",
            host=socket.gethostname(),
            pid=os.getpid(),
            cursor_before=cursor,
        )
        .returning(runs.c.id)
    )
    return int(conn.execute(stmt).scalar_one())


def finish_run(
    conn: Connection,
    source: str,
    run_id: int,
    ending: Ending,
    numbers: Mapping[str, Any],
    *,
    snapshot_ends: bool,
) -> None:
    """Close the run row and note its end at the checkpoint.

    `numbers` are the run's requests, retries, pages_not_modified, records_known and phase_seconds.
    With `snapshot_ends`, the snapshot under way is whole: its count is what the next one is
    compared with.
    """
    succeeded = ending.outcome == "succeeded"
    checkpoint = read_checkpoint(conn, source)
    command = conn.scalar(
        update(runs)
        .where(runs.c.id == run_id)
        .values(
            outcome=ending.outcome,
            reason=ending.reason,
            error=ending.error,
            finished_at=func.now(),
            cursor_after=checkpoint.cursor,
            **numbers,
        )
        .returning(runs.c.command)
    )
    noted: dict[str, Any] = {"run_id": run_id}
    # To be told to stop is neither; and what is read again says nothing of the source.
    if ending.reason != "stopped" and command != "retry":
        noted["last_success_at" if succeeded else "last_failure_at"] = func.now()
    if snapshot_ends:
        noted["snapshot_progress"] = 0
        if succeeded:
            slowly = int((checkpoint.snapshot_records or 0) * SNAPSHOT_DECLINE)
            noted["snapshot_records"] = max(checkpoint.snapshot_progress, slowly)
    _note(conn, source, noted)


def _note(conn: Connection, source: str, noted: dict[str, Any]) -> None:
    """Note something at the source's checkpoint, and make it one where it has none."""
    stmt = upsert(checkpoints).values(source=source, **noted)
    conn.execute(stmt.on_conflict_do_update(index_elements=[checkpoints.c.source], set_=noted))


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A run that ended without a word, and what of it had been committed."""

    run_id: int
    batches: int
    records: int
    rejected: int


def close_interrupted_runs(conn: Connection, source: str) -> list[Interrupted]:
    """Mark runs that ended without a word as failed; whoever holds the source's lock may.

    A batch counts itself in its run's row, in its own transaction: so the row tells whether the
    batch that was under way when the connection was lost had landed. No session can add to it any
    more, for the lock goes with the session.
    """
    stmt = (
        update(runs)
        .where(runs.c.source == source, runs.c.outcome == "running")
        .values(
            outcome="failed",
            reason="interrupted",
            error=func.format(
                "the worker or its connection ended before the run was closed; the %s records of "
                "%s batches that had been committed are kept",
                runs.c.records_fetched,
                runs.c.batches,
            ),
            finished_at=func.now(),
        )
        .returning(runs.c.id, runs.c.batches, runs.c.records_fetched, runs.c.records_rejected)
    )
    closed = [Interrupted(*row) for row in conn.execute(stmt)]
    if closed:
        newest = max(run.run_id for run in closed)
        _note(conn, source, {"run_id": newest, "last_failure_at": func.now()})
    return closed


def read_checkpoint(conn: Connection, source: str) -> Checkpoint:
    """Read where the source stands; one that never ran stands at its beginning."""
    columns = checkpoints.c
    row = conn.execute(
        select(
            columns.cursor,
            columns.validators,
            columns.snapshot_progress,
            columns.snapshot_records,
            select(runs.c.reason)
            .where(runs.c.source == source, runs.c.command == "run", _is_weighed())
            .order_by(runs.c.id.desc())
            .limit(1)
            .scalar_subquery(),
        ).where(columns.source == source)
    ).one_or_none()
    return Checkpoint(*row) if row else Checkpoint()


def _is_weighed() -> ColumnElement[bool]:
    """Whether a run came to its end, and what it brought was weighed; not one that broke off."""
    return or_(runs.c.outcome == "succeeded", runs.c.reason.in_(WEIGHED))


def read_unweighed(conn: Connection, source: str, run_id: int) -> Counts:
    """Count what the runs before this one brought that broke off before it could be weighed."""
    own = (runs.c.source == source, runs.c.command == "run")
    last = select(func.max(runs.c.id)).where(*own, _is_weighed()).scalar_subquery()
    names = ("fetched", "new", "unchanged", "rejected")
    sums = (func.coalesce(func.sum(runs.c[f"records_{name}"]), 0) for name in names)
    stmt = select(*sums).where(*own, runs.c.id > func.coalesce(last, 0), runs.c.id < run_id)
    return Counts(*map(int, conn.execute(stmt.where(_is_since_cleared(source))).one()))


@dataclass(frozen=True, slots=True)
class Changes:
    """How much a source's records differ from what it said before."""

    prices_compared: int
    prices_jumped: int
    ids_replaced: int


def read_changes(conn: Connection, source: str, run_id: int, *, resumed: bool) -> Changes:
    """Count what changed in this run, and if it `resumed` in those that it went on from."""
    own = (runs.c.source == source, runs.c.command == "run", runs.c.id <= run_id)
    last = select(func.max(runs.c.id)).where(*own, _is_weighed()).scalar_subquery()
    first = func.coalesce(last + 1, 0) if resumed else run_id
    names = ("prices_compared", "prices_jumped", "ids_replaced")
    sums = (func.coalesce(func.sum(runs.c[name]), 0) for name in names)
    stmt = select(*sums).where(*own, runs.c.id >= first, _is_since_cleared(source))
    return Changes(*map(int, conn.execute(stmt).one()))


def read_reference_run(conn: Connection, source: str) -> int | None:
    """Return the source's last good run, where a later one found its prices shifted; else None.

    Until they are as they were, or are accepted by `worker checkpoint clear`, they are compared
    with that run's.
    """
    own = (runs.c.source == source, runs.c.command == "run", _is_since_cleared(source))
    good = select(func.max(runs.c.id)).where(*own, runs.c.outcome == "succeeded").scalar_subquery()
    shifted = (*own, runs.c.reason == PRICES_SHIFTED, runs.c.id > good)
    return conn.scalar(select(good).where(select(runs.c.id).where(*shifted).exists()))


def _is_since_cleared(source: str) -> ColumnElement[bool]:
    return runs.c.started_at > func.coalesce(_cleared_at(source), text("'-infinity'"))


def _cleared_at(source: str) -> ScalarSelect[Any]:
    stmt = select(checkpoints.c.cleared_at).where(checkpoints.c.source == source)
    return stmt.scalar_subquery()


def read_normal(
    conn: Connection, source: str, checkpoint: Checkpoint, min_new_share: Decimal
) -> Normal:
    """Read what the source's own runs gave, since its checkpoint was last cleared.

    Runs that were not good, or read only the rest of a snapshot, set no standard for the share of
    rejects. Any run may have brought what is new; a source that never did is as old as its first
    run.
    """
    seen = runs.c.records_fetched + runs.c.records_known
    own = (runs.c.source == source, runs.c.command == "run")
    shares = (
        select(cast(runs.c.records_rejected, Numeric) / seen)
        .where(
            *own,
            runs.c.outcome == "succeeded",
            seen > 0,
            2 * seen >= (checkpoint.snapshot_records or 0),
            _is_since_cleared(source),
        )
        .order_by(runs.c.id.desc())
        .limit(RECENT_RUNS)
    )
    first = select(runs.c.started_at).where(*own).order_by(runs.c.id).limit(1).scalar_subquery()
    newest = (
        select(runs.c.finished_at)
        .where(
            *own,
            runs.c.outcome != "running",
            runs.c.records_new > 0,
            runs.c.records_new >= min_new_share * seen,
        )
        .order_by(runs.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    since = func.greatest(func.coalesce(newest, first), _cleared_at(source))
    is_open = (rejects.c.source == source, rejects.c.resolved_at.is_(None))
    has_rejects = conn.scalar(select(rejects.c.id).where(*is_open).limit(1)) is not None
    return Normal(
        checkpoint.snapshot_records,
        [Decimal(share) for share in conn.scalars(shares)],
        conn.scalar(select(func.now() - since)),
        checkpoint.last_reason if has_rejects else None,
        _read_mistake(conn, source),
        _read_listed(conn, EXPECTATIONS[source].listed_by),
    )


def _read_mistake(conn: Connection, source: str) -> str | None:
    """Read what the source's last run that was weighed had wrong of most of its records."""
    last = (
        select(runs.c.reason)
        .where(runs.c.source == source, runs.c.command == "run", _is_weighed())
        .where(_is_since_cleared(source))
        .order_by(runs.c.id.desc())
        .limit(1)
    )
    reason: str | None = conn.scalar(last)
    return reason if reason in {IDS_CHANGED, PRICES_SHIFTED} else None


def _read_listed(conn: Connection, listed_by: str | None) -> int | None:
    """Count the coins on a provider's list, as its newest whole reading had them."""
    if listed_by is None:
        return None
    columns = runs.c
    stmt = (
        select(columns.records_fetched + columns.records_known - columns.records_rejected)
        .where(columns.source == listed_by, columns.command == "run")
        .where(columns.outcome == "succeeded", _is_since_cleared(listed_by))
    )
    return conn.scalar(stmt.order_by(columns.id.desc()).limit(1))


def clear_checkpoint(engine: Engine, source: str) -> bool:
    """Set the source back to its beginning; say whether it had a checkpoint.

    Its next run reads everything again, and finds what is stored already unchanged. What its runs
    gave before is no longer what is expected of it, and ids that were pending are its ids.

    Raises:
        LockedError: a worker is at this source, and would set it forth again.
    """
    stmt = (
        update(checkpoints)
        .where(checkpoints.c.source == source)
        .values(
            cursor=None,
            validators={},
            snapshot_progress=0,
            snapshot_records=None,
            cleared_at=func.now(),
            updated_at=func.now(),
        )
    )
    with reachable(), locked(engine, source) as conn, conn.begin():
        lock_identity(conn)
        accepted = conn.execute(
            delete(pending_ids)
            .where(pending_ids.c.source == source)
            .returning(pending_ids.c.source, pending_ids.c.external_id)
        ).all()
        if accepted:
            decide_anew(conn, [(row.source, row.external_id) for row in accepted])
        return conn.execute(stmt).rowcount == 1
