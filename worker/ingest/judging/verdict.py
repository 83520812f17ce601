"""Decide the outcome of a run whose pages were all loaded."""

from dataclasses import replace

from sqlalchemy import Connection

from worker.ingest.judging import baseline
from worker.ingest.judging.contradictions import find_differing
from worker.ingest.judging.ending import Ending, RunFacts
from worker.ingest.judging.outcome import has_changed_ids, judge, judge_import
from worker.ingest.runs.state import RunState


def judge_run(conn: Connection, run: RunState) -> Ending:
    """Decide the outcome; set `changed_ids_since` if most ids of the snapshot changed."""
    source, facts = run.source, _facts_of(run)
    with conn.begin():
        if not source.is_snapshot:
            facts = replace(facts, differing=_find_differing(conn, run))
        if run.is_import:
            return judge_import(source.name, source.expects, facts)
        resumed = run.checkpoint.cursor is not None
        if resumed:
            facts = facts.after(baseline.read_unjudged(conn, source.name, run.run_id))
        changes = baseline.read_changes(conn, source.name, run.run_id, resumed=resumed)
        facts = replace(
            facts,
            prices_compared=changes.prices_compared,
            prices_jumped=changes.prices_jumped,
            ids_replaced=changes.ids_replaced,
        )
        if has_changed_ids(facts):
            run.changed_ids_since = changes.began_at
        share = source.expects.min_new_share
        earlier = baseline.read_baseline(conn, source.name, run.checkpoint, share)
    return judge(source.name, source.expects, facts, earlier)


def _facts_of(run: RunState) -> RunFacts:
    counts, cutter = run.counts, run.cutter
    records = counts.fetched if run.is_import else cutter.snapshot_progress
    return RunFacts(
        seen=counts.fetched + cutter.records_known,
        new=counts.new,
        rejected=counts.rejected,
        dismissed=counts.dismissed,
        snapshot=records if run.source.is_snapshot else None,
        revised=counts.revised,
        unreadable=cutter.readings.unread_records,
        common_reason=cutter.readings.common_reason(),
    )


def _find_differing(conn: Connection, run: RunState) -> str | None:
    """Describe records of this run, and of cut-off runs before it, that contradict each other.

    Runs before a file was read again from its start do not count: the file may have been corrected.
    An import always reads from the start. If it did not receive again everything that the cut-off
    imports stored, its files are other ones or were corrected, and those imports do not count. The
    records of an import are compared even if all of them were stored before.
    """
    cut_off = baseline.read_cut_off_runs(conn, run.source.name, run.command, run.run_id)
    if run.is_import and run.counts.unchanged < sum(cut_off.values()):
        cut_off = {}
    if cut_off:
        return find_differing(conn, [run.run_id, *cut_off])
    if not run.counts.new and not (run.is_import and run.counts.unchanged):
        return None
    return find_differing(conn, [run.run_id], run.cutter.periods)
