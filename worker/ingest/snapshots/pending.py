"""Pending ids: the new ids of a snapshot in which most ids changed. Identity ignores them.

A batch marks new ids as pending from the part of the snapshot read so far. At the end of the run
the whole snapshot decides, so the result does not depend on the size or order of the batches.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, select

from shared.schema.market import pending_ids
from worker.database.locks import lock_identity
from worker.database.statements import read_statements
from worker.ingest.batch.apply_decisions import decide_listings
from worker.ingest.judging.outcome import FEWEST_COMPARED

STATEMENTS = read_statements(__file__, "pending.sql")


def hold(conn: Connection, source: str, since: datetime) -> None:
    """Mark ids created `since` then as pending if an older listing has their symbol and name.

    Call this for a whole snapshot in which most ids changed.
    """
    lock_identity(conn)
    parameters = {"source": source, "since": since}
    _decide(conn, source, conn.scalars(STATEMENTS["hold_replaced_ids"], parameters).all())


def release(conn: Connection, source: str, records: int) -> None:
    """Release the pending ids that are in a whole snapshot in which most ids did not change.

    `records` is the size of the snapshot. The ids stay pending if they are most of it, because
    pages that were not modified can still have them. An id that is not in the snapshot stays
    pending too: its source withdrew it.
    """
    stmt = select(pending_ids.c.external_id).where(pending_ids.c.source == source).limit(1)
    if conn.scalar(stmt) is None:
        return
    lock_identity(conn)
    parameters = {"source": source, "records": records, "fewest": FEWEST_COMPARED}
    _decide(conn, source, conn.scalars(STATEMENTS["release_seen_ids"], parameters).all())


def _decide(conn: Connection, source: str, external_ids: Collection[str]) -> None:
    if external_ids:
        decide_listings(conn, [(source, external_id) for external_id in external_ids])
