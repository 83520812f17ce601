"""Run rows and checkpoints: where a source stands, and how its runs ended."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.model.catalogue import EXPECTATIONS
from shared.model.expectations import AGAIN_AFTER
from shared.model.records import Cursor
from shared.model.runs import WEIGHED
from shared.schema.market import pending_ids
from shared.schema.operations import checkpoints, runs
from worker.database.engine import reachable
from worker.database.locks import lock_identity, locked
from worker.ingest.batch.apply import decide_anew
from worker.ingest.judging.ending import Ending

SNAPSHOT_DECLINE = Decimal("0.99")
"""What a whole snapshot is expected to have falls no faster than this from one to the next.

Otherwise a source that answers a little less each time would set its own standard.
"""


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
            .where(runs.c.source == source, runs.c.command == "run", is_weighed())
            .order_by(runs.c.id.desc())
            .limit(1)
            .scalar_subquery(),
        ).where(columns.source == source)
    ).one_or_none()
    return Checkpoint(*row) if row else Checkpoint()


def is_weighed() -> ColumnElement[bool]:
    """Whether a run came to its end, and what it brought was weighed; not one that broke off."""
    return or_(runs.c.outcome == "succeeded", runs.c.reason.in_(WEIGHED))


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
