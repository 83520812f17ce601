"""Read and write the rows of runs and the checkpoints of sources."""

import os
import socket
from collections.abc import Mapping
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

from shared.model.records import Cursor
from shared.model.runs import JUDGED
from shared.schema.market import pending_ids
from shared.schema.operations import checkpoints, runs
from worker.database.engine import reachable
from worker.database.locks import lock_identity, locked
from worker.ingest.batch.apply_decisions import decide_listings
from worker.ingest.judging.ending import Ending

SNAPSHOT_DECLINE = Decimal("0.99")
"""The expected number of records falls at most to this share from one snapshot to the next.

Otherwise a source that returns slightly fewer records each time would lower its own expectation.
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The stored position of a source: its cursor, and the validators of its pages.

    `snapshot_progress` is the number of records read of an unfinished snapshot. `snapshot_records`
    is the expected number of records in a whole one. `last_reason` is the reason of the last judged
    run, None if it succeeded.
    """

    cursor: Cursor | None = None
    validators: Mapping[str, str] = field(default_factory=dict)
    snapshot_progress: int = 0
    snapshot_records: int | None = None
    last_reason: str | None = None


def start_run(conn: Connection, source: str, command: str, cursor: Cursor | None) -> int:
    """Insert the row of a run of this process, and return its id."""
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
    """Close the row of a run, and record the end in the checkpoint.

    `numbers` are the run's requests, retries, pages_not_modified, records_known and phase_seconds.
    With `snapshot_ends` the snapshot is whole, and the next one is compared with its count.
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
    changes: dict[str, Any] = {"run_id": run_id}
    # A stop is neither success nor failure. Imports and retries do not read the source.
    if ending.reason != "stopped" and command == "run":
        changes["last_success_at" if succeeded else "last_failure_at"] = func.now()
    if snapshot_ends:
        changes["snapshot_progress"] = 0
        if succeeded:
            least = int((checkpoint.snapshot_records or 0) * SNAPSHOT_DECLINE)
            changes["snapshot_records"] = max(checkpoint.snapshot_progress, least)
    _update_checkpoint(conn, source, changes)


def _update_checkpoint(conn: Connection, source: str, changes: dict[str, Any]) -> None:
    """Change the source's checkpoint; create it if it does not exist."""
    stmt = upsert(checkpoints).values(source=source, **changes)
    conn.execute(stmt.on_conflict_do_update(index_elements=[checkpoints.c.source], set_=changes))


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A run whose row was never closed, and the counts of its committed batches."""

    run_id: int
    command: str
    batches: int
    records: int
    rejected: int


def close_interrupted_runs(conn: Connection, source: str) -> list[Interrupted]:
    """Close the rows of runs that were interrupted; the caller holds the source's lock.

    Each batch adds its counts to the row of its run in its own transaction. The row therefore shows
    whether the last batch was committed when the connection was lost. The counts are final:
    the interrupted session lost the lock when it ended.
    """
    stmt = (
        update(runs)
        .where(runs.c.source == source, runs.c.outcome == "running")
        .values(
            outcome="failed",
            reason="interrupted",
            error=func.format(
                "the worker or its connection ended before the run was closed; the %s records of "
                "%s batches that were committed are stored",
                runs.c.records_fetched,
                runs.c.batches,
            ),
            finished_at=func.now(),
        )
        .returning(
            runs.c.id,
            runs.c.command,
            runs.c.batches,
            runs.c.records_fetched,
            runs.c.records_rejected,
        )
    )
    closed = [Interrupted(*row) for row in conn.execute(stmt)]
    if closed:
        changes: dict[str, Any] = {"run_id": max(run.run_id for run in closed)}
        if any(run.command == "run" for run in closed):
            changes["last_failure_at"] = func.now()
        _update_checkpoint(conn, source, changes)
    return closed


def read_checkpoint(conn: Connection, source: str) -> Checkpoint:
    """Read the checkpoint of a source; an empty one if it never ran."""
    columns = checkpoints.c
    row = conn.execute(
        select(
            columns.cursor,
            columns.validators,
            columns.snapshot_progress,
            columns.snapshot_records,
            select(runs.c.reason)
            .where(runs.c.source == source, runs.c.command == "run", was_judged())
            .order_by(runs.c.id.desc())
            .limit(1)
            .scalar_subquery(),
        ).where(columns.source == source)
    ).one_or_none()
    return Checkpoint(*row) if row else Checkpoint()


def was_judged() -> ColumnElement[bool]:
    """Whether a run read all its pages and was judged."""
    return or_(runs.c.outcome == "succeeded", runs.c.reason.in_(JUDGED))


def clear_checkpoint(engine: Engine, source: str) -> bool:
    """Reset a source to its beginning; return whether it had a checkpoint.

    The next run reads everything again; stored records count as unchanged. Earlier runs no longer
    define what is expected of the source, and its pending ids are accepted.

    Raises:
        LockedError: a worker is reading this source.
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
            decide_listings(conn, [(row.source, row.external_id) for row in accepted])
        return conn.execute(stmt).rowcount == 1
