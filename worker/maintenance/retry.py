"""Reading refused records again, by the schema of today.

They go the way of every record: checked, and loaded in batches of a run of their own, the command
of which is `retry`. The source's cursor stays where it is. What passes is resolved in the
transaction that loads it; what is refused once more counts as seen once more, with the reasons of
now.
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
from worker.database.engine import is_away, reachable, refusal
from worker.database.locks import locked
from worker.database.periods import periods_of
from worker.ingest import journal
from worker.ingest.batch import copy, transaction
from worker.ingest.batch.phases import Phases
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.batch.transaction import Batch, Counts
from worker.ingest.check import check
from worker.ingest.judging.ending import Ending
from worker.ingest.judging.readings import Readings
from worker.ingest.options import Options, Result
from worker.sources.base import Source

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Checked:
    """A stretch of rejects, read again."""

    ids: list[int] = field(default_factory=list)
    observed: list[tuple[RawRecord, Observation | Claim]] = field(default_factory=list)
    refused: list[Reject] = field(default_factory=list)

    def batch(self) -> Batch:
        return Batch(
            copy.stage(self.observed),
            len(self.observed),
            self.refused,
            cursor=None,
            periods=periods_of([said.observed_at for _, said in self.observed]),
            moves_cursor=False,
            retried=self.ids,
        )

    def note(self, readings: Readings) -> None:
        """Note the values that are not readable, and null in what passed."""
        for record, said in self.observed:
            if isinstance(said, Observation) and said.notes:
                readings.add_notes(record, said)


def retry(engine: Engine, source: Source, wanted: OpenRejects, options: Options) -> Result:
    """Read a source's open rejects again, and load those that pass.

    Killed half-way, the batches before are loaded and resolved, and the others are still open.

    Raises:
        LockedError: a worker is at this source; nothing was done.
        DatabaseUnavailableError: the database went away; what was committed is resolved.
        DatabaseRefusedError: the run could not be opened or closed: a timeout, a full disk.
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
            for stretch in phases.each("check", _stretches(conn, source, wanted, options)):
                if options.stop.is_set():
                    ending = Ending("partial", "stopped", "stopped after the batch in flight")
                    break
                at = options.faults.of_batch(name, counts.fetched + len(stretch.ids))
                counts += transaction.load_batch(conn, name, run_id, stretch.batch(), at, phases)
                stretch.note(readings)
                options.progress(counts.fetched)
        except InjectedFailureError as exc:
            ending = Ending("failed", "injected_failure", str(exc))
        except DBAPIError as exc:
            if is_away(exc):
                raise
            refused = refusal(exc)
            ending = Ending("failed", refused.code, f"{name}: {refused}")
        except Exception as exc:
            log.exception("a mistake in this program; please report it")
            ending = Ending("failed", "internal", f"{name}: {exc!r}")
        with conn.begin():
            numbers = {"phase_seconds": phases.taken()}
            journal.finish_run(conn, name, run_id, ending, numbers, snapshot_ends=False)
        with structlog.contextvars.bound_contextvars(source=name, run_id=run_id):
            readings.tell()
            log.info(
                "rejects read again",
                outcome=ending.outcome,
                resolved=counts.fetched - counts.rejected,
                rejected=counts.rejected,
            )
    return Result(name, run_id, ending, counts, [*readings.lines()])


def rehearse(
    engine: Engine, source: Source, wanted: OpenRejects, options: Options
) -> tuple[int, int]:
    """Count the rejects that would be read again, and those that would pass; change nothing."""
    read = passed = 0
    with reachable(), engine.connect() as conn:
        for stretch in _stretches(conn, source, wanted, options):
            read += len(stretch.ids)
            passed += len(stretch.observed)
    return read, passed


def _stretches(
    conn: Connection, source: Source, wanted: OpenRejects, options: Options
) -> Iterator[Checked]:
    """Yield the rejects in the order of their ids, a batch of them at a time."""
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
            *wanted.of(source.name).conditions()
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
        record = source.kept(payload, row.position)
        if record is None:  # nothing new can be said of it
            unread = RawRecord(payload, row.position, None)
            checked.refused.append(Reject(unread, row.reasons, row.external_id))
            continue
        # Where a record has no time of its own, it is of when it came last.
        said = check(source, record._replace(fetched_at=row.last_seen_at), now)
        if isinstance(said, Reject):
            checked.refused.append(said)
        else:
            checked.observed.append((record, said))
    return checked
