"""Run rows and checkpoints: where a source stands, and how its runs ended."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.db import reachable
from shared.records import Cursor
from shared.tables import checkpoints, runs
from worker.locks import locked

SNAPSHOT_DECLINE = Decimal("0.99")
"""What a whole snapshot is expected to have falls no faster than this from one to the next.

Otherwise a source that answers a little less each time would set its own standard.
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended. `reason` is a stable code, `error` a sentence for a person."""

    outcome: str
    reason: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a source stands: its cursor, and the validators of its pages.

    `snapshot_progress` counts the snapshot under way, `snapshot_records` is how many a whole one is
    expected to have; `last_reason` is why its last run did not succeed.
    """

    cursor: Cursor | None = None
    validators: Mapping[str, str] = field(default_factory=dict)
    snapshot_progress: int = 0
    snapshot_records: int | None = None
    last_reason: str | None = None


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
    numbers: Mapping[str, int],
    *,
    snapshot_ends: bool,
) -> None:
    """Close the run row and note its end at the checkpoint.

    `numbers` are the run's requests, retries and pages_not_modified. With `snapshot_ends`, the
    snapshot under way is whole: its count is what the next one is compared with.
    """
    succeeded = ending.outcome == "succeeded"
    checkpoint = read_checkpoint(conn, source)
    conn.execute(
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
    )
    noted: dict[str, Any] = {"run_id": run_id}
    if ending.reason != "stopped":  # to be told to stop is neither
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


def close_interrupted_runs(conn: Connection, source: str) -> int:
    """Mark runs that ended without a word as failed; whoever holds the source's lock may."""
    stmt = (
        update(runs)
        .where(runs.c.source == source, runs.c.outcome == "running")
        .values(
            outcome="failed",
            reason="interrupted",
            error="the worker ended without closing its run; what it had committed is kept",
            finished_at=func.now(),
        )
        .returning(runs.c.id)
    )
    closed = conn.scalars(stmt).all()
    if closed:
        _note(conn, source, {"run_id": max(closed), "last_failure_at": func.now()})
    return len(closed)


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
            .where(runs.c.source == source, runs.c.command == "run", runs.c.outcome != "running")
            .order_by(runs.c.id.desc())
            .limit(1)
            .scalar_subquery(),
        ).where(columns.source == source)
    ).one_or_none()
    return Checkpoint(*row) if row else Checkpoint()


def clear_checkpoint(engine: Engine, source: str) -> bool:
    """Set the source back to its beginning; say whether it had a checkpoint.

    Its next run reads everything again, and finds what is stored already unchanged.

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
            updated_at=func.now(),
        )
    )
    with reachable(), locked(engine, source) as conn, conn.begin():
        return conn.execute(stmt).rowcount == 1
