"""Reads refused records again with the current schema.

They are checked and loaded like all records, in batches of a run with the command `retry`. The
source's cursor does not move. A record that passes is resolved in the transaction that loads it. A
record that is refused again gets the new reasons. The source did not send it again, so neither the
row of the run nor the totals count it.
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
from shared.model.runs import REFUSED_AGAIN
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
    """A batch of rejects that were read again, by their ids.

    The source cannot read the `unreadable` ones again, so their reasons stay.
    """

    passed: list[int] = field(default_factory=list)
    observed: list[tuple[RawRecord, Observation | Claim]] = field(default_factory=list)
    refused: dict[int, Reject] = field(default_factory=dict)
    unreadable: list[int] = field(default_factory=list)

    @property
    def still_open(self) -> int:
        return len(self.refused) + len(self.unreadable)

    @property
    def read(self) -> int:
        return len(self.passed) + self.still_open

    def batch(self) -> Batch:
        return Batch(
            copy.stage(self.observed),
            len(self.observed),
            (),
            cursor=None,
            periods=periods_of([observed.observed_at for _, observed in self.observed]),
            moves_cursor=False,
            retried=self.passed,
            refused_again=self.refused,
        )

    def add_notes(self, readings: Readings) -> None:
        """Add the unreadable values, which were loaded as null."""
        for record, observed in self.observed:
            if isinstance(observed, Observation) and observed.notes:
                readings.add_notes(record, observed)


@dataclass(frozen=True, slots=True)
class Retried(Result):
    """The result of a retry, with the ids of the rejects that stay open.

    Its counts include the records that were refused again; the row of the run does not.
    """

    refused: Sequence[int] = ()
    unreadable: Sequence[int] = ()


def retry(engine: Engine, source: Source, query: OpenRejects, options: Options) -> Retried:
    """Read a source's open rejects again, and load those that pass.

    The run is `failed` (`refused_again`) if no record passes. If it is killed, committed batches
    are loaded and resolved, and the other rejects stay open.

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
        refused: list[int] = []
        unreadable: list[int] = []
        ending = Ending("succeeded")
        try:
            for checked in phases.each("check", _batches(conn, source, query, options)):
                if options.stop.is_set():
                    ending = Ending("partial", "stopped", "stopped after the current batch")
                    break
                at = options.faults.of_batch(name, counts.fetched + checked.read)
                counts += transaction.load_batch(conn, name, run_id, checked.batch(), at, phases)
                counts += Counts(fetched=checked.still_open, rejected=checked.still_open)
                refused += checked.refused
                unreadable += checked.unreadable
                checked.add_notes(readings)
                options.progress(counts.fetched)
            else:
                ending = _judge(name, counts)
        except InjectedFailureError as exc:
            ending = Ending("failed", "injected_failure", str(exc))
        except DBAPIError as exc:
            if is_unavailable(exc):
                raise
            error = refusal(exc)
            ending = Ending("failed", error.code, f"{name}: {error}")
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
    return Retried(name, run_id, ending, counts, [*readings.lines()], refused, unreadable)


def _judge(source: str, counts: Counts) -> Ending:
    if not counts.rejected or counts.rejected < counts.fetched:
        return Ending("succeeded")
    error = f"{source}: no record passed; {counts.rejected} of {counts.fetched} were refused again"
    return Ending("failed", REFUSED_AGAIN, error)


def preview(
    engine: Engine, source: Source, query: OpenRejects, options: Options
) -> tuple[int, int]:
    """Return the number of matching rejects, and of those that would pass; change nothing."""
    read = passed = 0
    with reachable(), engine.connect() as conn:
        for checked in _batches(conn, source, query, options):
            read += checked.read
            passed += len(checked.passed)
    return read, passed


def _batches(
    conn: Connection, source: Source, query: OpenRejects, options: Options
) -> Iterator[Checked]:
    """Yield the rejects in batches, in the order of their ids."""
    after = 0
    columns = (rejects.c.id, rejects.c.payload, rejects.c.position, rejects.c.last_seen_at)
    while True:
        stmt: Select[Any] = select(*columns).where(*query.of(source.name).conditions())
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
        record = source.read_rejected(bytes(row.payload), row.position)
        if record is None:
            checked.unreadable.append(row.id)
            continue
        # A record without its own time has the time at which it was last received.
        outcome = check(source, record._replace(fetched_at=row.last_seen_at), now)
        if isinstance(outcome, Reject):
            checked.refused[row.id] = outcome
        else:
            checked.passed.append(row.id)
            checked.observed.append((record, outcome))
    return checked
