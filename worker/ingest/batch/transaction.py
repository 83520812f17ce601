"""The transaction that loads one batch, completely or not at all."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from sqlalchemy import Connection, TextClause

from shared.schema.raw import EVERY_RAW, RAW_LISTS
from worker.database import partitions
from worker.database.locks import lock_identity
from worker.database.statements import read_reusable, source_parts
from worker.drift import ledger
from worker.identity import pairs, renames, store
from worker.ingest.batch import claims, copy
from worker.ingest.batch.contents import Batch, Counts
from worker.ingest.batch.receiving import Received, describe_revision, receive
from worker.ingest.checking.recognition import update_digests
from worker.ingest.faults import At, no_fault
from worker.ingest.judging.outcome import FEWEST_COMPARED
from worker.ingest.runs.phases import Phases
from worker.ingest.snapshots.snapshot_pages import begin_snapshot, note_part

STATEMENTS: dict[str, dict[str, TextClause]] = {
    source: read_reusable(__file__, "batch.sql", **source_parts(source)) for source in EVERY_RAW
}


def create_staging(conn: Connection, source: str) -> None:
    """Create this session's temporary tables, or empty those that outlast a batch."""
    conn.execute(STATEMENTS[source]["create_staging"])
    store.create_tables(conn)
    if source in RAW_LISTS:
        claims.create_staging(conn, source)


def load_batch(
    conn: Connection,
    source: str,
    run_id: int,
    batch: Batch,
    at: At = no_fault,
    phases: Phases | None = None,
) -> Counts:
    """Load a batch in one transaction, with its counts and its checkpoint, and commit.

    Missing partitions are created before, in transactions of their own. The row of the run also
    gets the seconds of the `phases` so far.

    Idempotent: the same batch again counts as unchanged and stores nothing. After a failure before
    the COMMIT, also in `at`, nothing of the batch is stored.
    """
    phases = phases or Phases()
    partitions.create_partitions(conn, source, batch.periods, at)
    with ExitStack() as until_committed, conn.begin():
        with phases.timing("load"):
            received, dismissed = _load(conn, source, run_id, batch, at)
        until_committed.enter_context(phases.timing("commit"))
        counts = Counts(
            batch.fetched,
            received.new,
            batch.observed - received.new + batch.recognised,
            len(batch.rejects),
            received.revised,
            received.revision,
            dismissed,
        )
        at("before_checkpoint")
        _move_checkpoint(conn, source, run_id, batch, counts, phases)
        at("before_commit")
    at("after_commit")
    return counts


def _load(conn: Connection, source: str, run_id: int, batch: Batch, at: At) -> tuple[Received, int]:
    """Load the batch without its counts; return the new records and the number of dismissed."""
    has_records = batch.observed or batch.recognised
    received = load_rows(conn, source, run_id, batch, at) if has_records else Received()
    if batch.retried:
        conn.execute(STATEMENTS[source]["resolve_rejects"], {"ids": list(batch.retried)})
    if batch.refused_again:
        refused = [
            {"id": each, "reasons": again.reasons, "external_id": again.external_id}
            for each, again in batch.refused_again.items()
        ]
        conn.execute(STATEMENTS[source]["update_reasons"], {"refused": json.dumps(refused)})
    file = batch.file
    file_parameters = {
        "source": source,
        "run_id": run_id,
        "file": file.path if file else None,
        "declaration": file.declaration if file else None,
    }
    dismissed = 0
    if batch.rejects:
        copy.copy_rejects(conn, batch.rejects)
        dismissed = int(conn.scalar(STATEMENTS[source]["insert_rejects"], file_parameters) or 0)
    if file and file.is_end:
        conn.execute(STATEMENTS[source]["resolve_superseded_rejects"], file_parameters)
    if batch.begins_snapshot:
        begin_snapshot(conn, source)
    if batch.page_part is not None:
        note_part(conn, source, batch.page_part)
    ledger.count_shapes(conn, source, run_id, batch.shapes)
    return received, dismissed


def load_rows(
    conn: Connection, source: str, run_id: int, batch: Batch, at: At = no_fault
) -> Received:
    """Update everything from raw records to assets; return the counts of new and revised."""
    statements = STATEMENTS[source]
    at("before_copy")
    if source in RAW_LISTS:
        new, moved = claims.load_rows(conn, source, run_id, batch.rows, at)
        for point in ("after_listings", "after_observations"):
            at(point)
        if moved:
            unify_assets(conn, source, moved)
        at("after_assets")
        return Received(new)
    received = Received()
    if batch.observed:
        copy.copy_staged(conn, batch.rows)
        received = receive(conn, source, run_id, batch.periods)
    at("after_raw")
    if received.new or received.revised:
        lock_identity(conn)
        # Only a snapshot can show that ids changed: files need not repeat the ids of earlier ones.
        in_snapshot = batch.fetched if batch.page_part is not None else 0
        updated = update_listings(conn, source, run_id, fetched=in_snapshot)
        at("after_listings")
        if received.revised:
            conn.execute(statements["revise_observations"])
        conn.execute(statements["insert_observations"])
        if received.revised and not batch.moves_cursor:
            row = conn.execute(statements["find_revision"]).one_or_none()
            received = replace(received, revision=describe_revision(row))
        at("after_observations")
        moved = resolve_assets(conn, run_id, updated)
        unify_assets(conn, source, moved)
        at("after_assets")
    if received.new < batch.observed:
        update_digests(conn, source)
        if not batch.moves_cursor:
            keys = {"source": source, "run_id": run_id}
            conn.execute(statements["note_received_again"], keys)
    return received


@dataclass(frozen=True, slots=True)
class Updated:
    """The work for identity after an update of listings: touched keys, and renamed listings."""

    touched: int
    renamed: Sequence[int]


def update_listings(
    conn: Connection,
    source: str,
    run_id: int | None,
    *,
    rebuild: bool = False,
    fetched: int = 0,
) -> Updated:
    """Update listings from the records in `fresh`.

    With `rebuild`, the newest record in `fresh` replaces the values of the listing, even if they
    are newer. Call `resolve_assets` after the observations are stored. For a batch of a snapshot,
    `fetched` is the number of its records.
    """
    statements = STATEMENTS[source]
    conn.execute(statements["find_newest"], {"source": source, "rebuild": rebuild})
    if fetched:
        counts = {"fetched": fetched, "fewest": FEWEST_COMPARED}
        conn.execute(
            statements["insert_pending_ids"], {"source": source, "run_id": run_id, **counts}
        )
    touched = conn.execute(statements["find_touched_keys"]).rowcount
    touched += pairs.touch_changed_accords(conn)
    if touched:
        conn.execute(statements["insert_assets"])
        conn.execute(statements["insert_listings"], {"source": source})
    conn.execute(statements["update_listings"], {"rebuild": rebuild})
    renamed = renames.record_names(conn, run_id, rebuild=rebuild)
    touched += renames.touch_renamed(conn, renamed)
    return Updated(touched, renamed)


def resolve_assets(conn: Connection, run_id: int | None, updated: Updated) -> list[int]:
    """Decide which asset each touched listing is, from `fresh` and the stored observations.

    Returns the assets between which listings moved, and the assets of renamed listings. Unify them
    afterwards, with the assets of the listings in the batch.
    """
    touched = updated.touched + pairs.touch_changed_prices(conn)
    is_due = touched > 0 or pairs.must_compare_all_pairs(conn)
    moved = store.resolve(conn, run_id) if is_due else []
    return sorted({*moved, *renames.find_assets_of(conn, updated.renamed)})


def unify_assets(conn: Connection, source: str, moved: Sequence[int]) -> int:
    """Compute the values of the assets in the batch, and of the `moved` assets.

    Also updates the former names of the `moved` assets. Returns the number of changed assets.
    """
    changed = conn.execute(STATEMENTS[source]["unify_assets"], {"moved": list(moved)}).rowcount
    if moved:
        renames.update_former_names(conn, moved)
    return changed


def _move_checkpoint(
    conn: Connection, source: str, run_id: int, batch: Batch, counts: Counts, phases: Phases
) -> None:
    statements = STATEMENTS[source]
    numbers = {
        "run_id": run_id,
        "fetched": counts.fetched,
        "new": counts.new,
        "unchanged": counts.unchanged,
        "rejected": counts.rejected,
    }
    further_counts = {
        "revised": counts.revised,
        "unreadable": batch.unreadable,
        "reads_anew": batch.reads_anew,
        "phase_seconds": json.dumps(phases.taken()),
    }
    conn.execute(statements["count_batch"], {**numbers, **further_counts})
    if batch.observed:
        parameters = {"source": source, "run_id": run_id, "reference_run": batch.reference_run}
        conn.execute(statements["count_changes"], parameters)
    conn.execute(
        statements["move_checkpoint"],
        {
            **numbers,
            "source": source,
            "cursor": json.dumps(batch.cursor) if batch.cursor is not None else None,
            "moves_cursor": batch.moves_cursor,
            "validators": json.dumps(dict(batch.validators)),
            "progress": batch.snapshot_progress,
        },
    )
