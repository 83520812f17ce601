"""Reads refused records again with the current schema.

They are checked and loaded like all records, in batches of a run with the command `retry`. The
source's cursor does not move. A record that passes is resolved in the transaction that loads it. A
record that is refused again counts as seen again, with the new reasons.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, Select, select
from sqlalchemy.exc import DBAPIError

from shared.errors import InjectedFailureError
from shared.model.records import Claim, Observation, RawRecord, Reject
from shared.schema.operations import rejects
from worker.database.engine import is_unavailable, reachable, refusal
from worker.database.locks import locked
from worker.database.periods import periods_of
from worker.ingest.batch import copy, transaction
from worker.ingest.batch.contents import Batch, Counts
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.checking.check import check
from worker.ingest.judging.ending import Ending
from worker.ingest.judging.reading_notes import Readings
from worker.ingest.runs import journal
from worker.ingest.runs.options import Options, Result
from worker.ingest.runs.phases import Phases
from worker.sources.base import Source

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Checked:
    """A batch of rejects that were read and checked again."""

    ids: list[int] = field(default_factory=list)
    observed: list[tuple[RawRecord, Observation | Claim]] = field(default_factory=list)
    refused: list[Reject] = field(default_factory=list)

    def batch(self) -> Batch:
        return Batch(
            copy.stage(self.observed),
            len(self.observed),
            self.refused,
            cursor=None,
            periods=periods_of([observed.observed_at for _, observed in self.observed]),
            moves_cursor=False,
            retried=self.ids,
        )

    def add_notes(self, readings: Readings) -> None:
        """Add the unreadable values, which were loaded as null."""
        for record, observed in self.observed:
            if isinstance(observed, Observation) and observed.notes:
                readings.add_notes(record, observed)


def retry(engine: Engine, source: Source, query: OpenRejects, options: Options) -> Result:
    """Read a source's open rejects again, and load those that pass.

    If it is killed, committed batches are loaded and resolved, and the other rejects stay open.

    Raises:
        LockedError: a worker is reading this source; nothing was done.
        DatabaseUnavailableError: the database cannot be reached; committed batches are resolved.
        DatabaseRefusedError: the run could not be started or finished.
    """
    name = source.name
    with reachable(), locked(engine, name) as conn:
        with conn.begin():
            journal.close_interrupted_runs(conn, name)
            cursor = journal.read_checkpoint(conn, name).cursor
            run_id = journal.start_run(conn, name, "retry", cursor)
            transaction.create_staging(conn, name)
        counts, phases, readings = Counts(), Phases(), Readings()
        ending = Ending("succeeded")
        try:
            for checked in phases.each("check", _batches(conn, source, query, options)):
                if options.stop.is_set():
                    ending = Ending("partial", "stopped", "stopped after the current batch")
                    break
                at = options.faults.of_batch(name, counts.fetched + len(checked.ids))
                counts += transaction.load_batch(conn, name, run_id, checked.batch(), at, phases)
                checked.add_notes(readings)
                options.progress(counts.fetched)
        except InjectedFailureError as exc:
            ending = Ending("failed", "injected_failure", str(exc))
        except DBAPIError as exc:
            if is_unavailable(exc):
                raise
            refused = refusal(exc)
            ending = Ending("failed", refused.code, f"{name}: {refused}")
        except Exception as exc:
            log.exception("internal error, please report it")
            ending = Ending("failed", "internal", f"{name}: {exc!r}")
        with conn.begin():
            numbers = {"phase_seconds": phases.taken()}
            journal.finish_run(conn, name, run_id, ending, numbers, snapshot_ends=False)
        with structlog.contextvars.bound_contextvars(source=name, run_id=run_id):
            readings.log_unread()
            log.info(
                "rejects read again",
                outcome=ending.outcome,
                resolved=counts.fetched - counts.rejected,
                rejected=counts.rejected,
            )
    return Result(name, run_id, ending, counts, [*readings.lines()])


def preview(
    engine: Engine, source: Source, query: OpenRejects, options: Options
) -> tuple[int, int]:
    """Return the number of matching rejects, and of those that would pass; change nothing."""
    read = passed = 0
    with reachable(), engine.connect() as conn:
        for checked in _batches(conn, source, query, options):
            read += len(checked.ids)
            passed += len(checked.observed)
    return read, passed


def _batches(
    conn: Connection, source: Source, query: OpenRejects, options: Options
) -> Iterator[Checked]:
    """Yield the rejects in batches, in the order of their ids."""
    after = 0
    columns = (
        rejects.c.id,
        rejects.c.payload,
        rejects.c.position,
        rejects.c.reasons,
        rejects.c.last_seen_at,
    )
    while True:
        stmt: Select[Any] = select(*columns, rejects.c.external_id).where(
            *query.of(source.name).conditions()
        )
        stmt = stmt.where(rejects.c.id > after).order_by(rejects.c.id).limit(options.batch_size)
        with conn.begin():
            rows = conn.execute(stmt).all()
        if not rows:
            return
        yield _check(source, rows, options.clock())
        after = rows[-1].id


def _check(source: Source, rows: Sequence[Row[Any]], now: datetime) -> Checked:
    checked = Checked()
    for row in rows:
        payload = bytes(row.payload)
        checked.ids.append(row.id)
        record = source.read_rejected(payload, row.position)
        if record is None:  # the source cannot read it again, so the reasons stay
            unreadable = RawRecord(payload, row.position, None)
            checked.refused.append(Reject(unreadable, row.reasons, row.external_id))
            continue
        # A record without its own time has the time at which it was last received.
        outcome = check(source, record._replace(fetched_at=row.last_seen_at), now)
        if isinstance(outcome, Reject):
            checked.refused.append(outcome)
        else:
            checked.observed.append((record, outcome))
    return checked
