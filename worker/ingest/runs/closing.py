"""Close a run in one transaction: drift, excess rejects, its row, delistings and pending ids."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy import Connection

from shared.model.runs import IDS_CHANGED, TOO_MANY_REJECTS
from worker.drift import ledger
from worker.ingest.batch import rejects
from worker.ingest.judging.drift import judge_drift
from worker.ingest.judging.ending import Ending
from worker.ingest.judging.outcome import has_too_many_rejects
from worker.ingest.runs import journal
from worker.ingest.runs.state import RunState
from worker.ingest.snapshots import delisting, pending
from worker.ingest.snapshots.delisting import Delisted
from worker.sources.base import Source

log = structlog.get_logger(__name__)


def close_run(
    conn: Connection, run: RunState, ending: Ending, numbers: Mapping[str, Any]
) -> Ending:
    """Store how the run ended, and return the ending.

    Drift can make the given ending `failed`; dropped rejects only extend its message.
    `numbers` are the requests and retries of the run.
    """
    cutter, name = run.cutter, run.source.name
    numbers = {
        **numbers,
        "pages_not_modified": cutter.pages_not_modified,
        "records_known": cutter.records_known,
        "phase_seconds": run.phases.taken(),
    }
    with conn.begin():
        if run.is_read:
            ending = judge_drift(name, _compare_shapes(conn, run), ending)
        ending = _drop_excess_of(conn, run, ending)
        journal.finish_run(conn, name, run.run_id, ending, numbers, snapshot_ends=run.is_whole)
        delisted = Delisted()
        if run.shows_listed and run.is_whole:
            if ending.outcome == "succeeded":
                delisted = delisting.end_snapshot(conn, name, run.options.clock())
            _settle_pending_ids(conn, run, ending)
        run.options.faults.of_batch(name, 0)("before_run_end")
    cutter.readings.log_unread()
    _log_end(run, ending, delisted)
    return ending


def _compare_shapes(conn: Connection, run: RunState) -> ledger.OpenDrift:
    saw_half = not run.is_whole or 2 * run.counts.fetched >= run.cutter.snapshot_progress
    return ledger.compare_run(
        conn, run.source, run.run_id, is_import=run.is_import, saw_half=saw_half
    )


def _settle_pending_ids(conn: Connection, run: RunState, ending: Ending) -> None:
    """Once per whole snapshot: hold pending ids if most ids changed, otherwise release them.

    They are not released if the run repeats an earlier `ids_changed`.
    """
    if run.changed_ids_since is not None:
        pending.hold(conn, run.source.name, run.changed_ids_since)
    elif ending.reason != IDS_CHANGED:
        pending.release(conn, run.source.name, run.cutter.snapshot_progress)


def _drop_excess_of(conn: Connection, run: RunState, ending: Ending) -> Ending:
    if run.is_import:
        return ending
    seen = run.counts.fetched + run.cutter.records_known
    dropped = drop_excess_rejects(
        conn,
        run.source,
        run.run_id,
        seen=max(seen, run.checkpoint.snapshot_records or 0),
        rejected=run.counts.rejected - run.counts.dismissed,
        reason=ending.reason,
    )
    if not dropped:
        return ending
    error = (
        f"{ending.error or 'too many records were rejected'}. The payloads of {dropped} of them "
        "are not stored, only counted by reason; the next run reads the source again"
    )
    return replace(ending, error=error)


def drop_excess_rejects(
    conn: Connection,
    source: Source,
    run_id: int,
    *,
    seen: int,
    rejected: int,
    reason: str | None = None,
) -> int:
    """Drop payloads of a run with too many rejects, and return their number.

    Only rejects of snapshots are dropped: the next snapshot has all records again. `seen` is the
    number of records in the run, or the expected number in a whole snapshot if that is larger.
    """
    if not source.is_snapshot:
        return 0
    if reason != TOO_MANY_REJECTS and not has_too_many_rejects(source.expects, seen, rejected):
        return 0
    return rejects.drop_excess(conn, source.name, run_id)


def _log_end(run: RunState, ending: Ending, delisted: Delisted) -> None:
    counts = run.counts
    is_expected = ending.outcome == "succeeded" or ending.reason == "stopped"
    write = log.info if is_expected else log.error
    write(
        "run finished",
        outcome=ending.outcome,
        reason=ending.reason,
        error=ending.brief or ending.error,
        fetched=counts.fetched,
        new=counts.new,
        unchanged=counts.unchanged,
        rejected=counts.rejected,
        revised=counts.revised,
        delisted=delisted.gone,
        listed_again=delisted.returned,
    )
