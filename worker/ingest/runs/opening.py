"""Open a run: close the ones that were interrupted, read the checkpoint, insert the run's row."""

from dataclasses import replace

import structlog
from sqlalchemy import Connection

from worker.database import partitions
from worker.database.periods import periods_ahead
from worker.drift import ledger
from worker.ingest.batch import transaction
from worker.ingest.checking.batch_checker import BatchChecker
from worker.ingest.checking.page_cutter import PageCutter
from worker.ingest.checking.recognition import RECOGNISED, read_recognition
from worker.ingest.judging import baseline
from worker.ingest.runs import journal
from worker.ingest.runs.closing import drop_excess_rejects
from worker.ingest.runs.journal import Checkpoint
from worker.ingest.runs.options import Options
from worker.ingest.runs.state import RunState, is_import, shows_listed
from worker.ingest.snapshots import snapshot_pages
from worker.sources.base import Source

log = structlog.get_logger(__name__)


def open_run(conn: Connection, source: Source, options: Options, command: str) -> RunState:
    """Open a run in one transaction; the caller holds the lock of the source."""
    name = source.name
    ahead = periods_ahead(options.clock())
    partitions.create_partitions(conn, name, ahead, options.faults.of_batch(name, 0))
    with conn.begin():
        interrupted = journal.close_interrupted_runs(conn, name)
        checkpoint = _read_checkpoint(conn, source, command)
        _drop_excess_of(conn, source, command, interrupted, checkpoint)
        run_id = journal.start_run(conn, name, command, checkpoint.cursor)
        transaction.create_staging(conn, name)
        recognition = read_recognition(conn, name, options.clock())
        cutter = PageCutter(
            BatchChecker(source, recognition, options.batch_size),
            ledger.shape_counters(conn, source),
            clock=options.clock,
            is_import=is_import(command),
            shows_listed=shows_listed(source, command),
        )
        # Without a cursor the snapshot starts from its beginning, so its progress is 0.
        if checkpoint.cursor is not None:
            cutter.snapshot_progress = checkpoint.snapshot_progress
        reader = source.with_recognition(recognition.recognise) if name in RECOGNISED else source
        reference_run = baseline.read_reference_run(conn, name)
    return RunState(source, options, command, run_id, checkpoint, cutter, reader, reference_run)


def _read_checkpoint(conn: Connection, source: Source, command: str) -> Checkpoint:
    """Read the checkpoint, and begin a snapshot unless one is to be continued."""
    checkpoint = journal.read_checkpoint(conn, source.name)
    if not shows_listed(source, command):
        return checkpoint
    if checkpoint.cursor is None:
        snapshot_pages.begin_snapshot(conn, source.name)
    validators = snapshot_pages.keep_recorded(conn, source.name, checkpoint.validators)
    return replace(checkpoint, validators=validators)


def _drop_excess_of(
    conn: Connection,
    source: Source,
    command: str,
    interrupted: list[journal.Interrupted],
    checkpoint: Checkpoint,
) -> None:
    for run in interrupted:
        log.warning(
            "an earlier run was interrupted; its committed batches are stored",
            source=source.name,
            interrupted_run=run.run_id,
            batches=run.batches,
            records=run.records,
        )
        if not is_import(command):
            seen = max(run.records, checkpoint.snapshot_records or 0)
            drop_excess_rejects(conn, source, run.run_id, seen=seen, rejected=run.rejected)
