"""Pending ids: new ones of a snapshot in which most ids changed. Identity leaves them aside.

A batch knows only what came until then, and holds back what looks like such a snapshot. Here the
whole snapshot decides, so that neither the size nor the order of the batches does.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, select

from shared.schema.market import pending_ids
from worker.database.locks import lock_identity
from worker.database.statements import read_statements
from worker.ingest.batch.apply import decide_anew
from worker.ingest.judging.outcome import FEWEST_COMPARED

STATEMENTS = read_statements(__file__, "pending.sql")


def hold(conn: Connection, source: str, since: datetime) -> None:
    """Hold all ids that are new `since` then under the symbol and name of a listing before it.

    To be called where a whole snapshot was found to have changed the source's ids.
    """
    lock_identity(conn)
    asked = {"source": source, "since": since}
    _decide(conn, source, conn.scalars(STATEMENTS["hold_replaced_ids"], asked).all())


def release(conn: Connection, source: str, records: int) -> None:
    """Let identity link the pending ids in a whole snapshot of so many records, which was not so.

    Unless they are most of it, on pages that were not modified. An id that it does not hold stays
    pending: its source took it back.
    """
    stmt = select(pending_ids.c.external_id).where(pending_ids.c.source == source).limit(1)
    if conn.scalar(stmt) is None:
        return
    lock_identity(conn)
    asked = {"source": source, "records": records, "fewest": FEWEST_COMPARED}
    _decide(conn, source, conn.scalars(STATEMENTS["release_seen_ids"], asked).all())


def _decide(conn: Connection, source: str, external_ids: Collection[str]) -> None:
    if external_ids:
        decide_anew(conn, [(source, each) for each in external_ids])
