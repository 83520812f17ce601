"""Detect delisted listings: those that their source no longer lists.

A listing is delisted when enough consecutive whole snapshots do not contain it
(`Expectations.delisted`). It is listed again with the first whole snapshot that contains it. Only
successful runs of the source count; partial runs, failed runs and imports do not.

The ids of a snapshot are recorded with the batches, page by page. A run that continues the snapshot
of another therefore knows them, and a page that was not modified has the ids recorded before.

The alternative is a column in each listing with the time when it was last seen. Every pass would
write it for every listing, and one bad pass of a provider would delist listings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row

from shared.model.catalogue import EXPECTATIONS
from shared.schema.raw import RAW
from worker.database.locks import lock_identity
from worker.database.statements import read_statements, shared_parts
from worker.ingest.batch.apply_decisions import decide_listings

STATEMENTS = read_statements(__file__, "delisting.sql", **shared_parts())


@dataclass(frozen=True, slots=True)
class Delisted:
    """The numbers of listings that were delisted (`gone`) and listed again (`returned`)."""

    gone: int = 0
    returned: int = 0


def is_judged(source: str) -> bool:
    """Whether snapshots of the source show which listings are delisted."""
    return source in RAW and EXPECTATIONS[source].delisted is not None


def end_snapshot(conn: Connection, source: str, at: datetime) -> Delisted:
    """Update delistings from the whole snapshot of a successful run, in the caller's transaction.

    Identity decides again for listings that were delisted or listed again. `at` is by our clock.
    """
    rule = EXPECTATIONS[source].delisted
    if rule is None:
        return Delisted()
    snapshot = conn.scalar(STATEMENTS["count_snapshot"], {"source": source, "at": at})
    conn.execute(
        STATEMENTS["note_absences"],
        {
            "source": source,
            "at": at,
            "snapshot": snapshot,
            "snapshots": rule.snapshots,
            "within": rule.within,
        },
    )
    return mark_listings(conn, source)


def mark_listings(conn: Connection, source: str) -> Delisted:
    """Update `delisted_at` of a source's listings, and their assets, from the recorded absences."""
    lock_identity(conn)
    changed: Sequence[Row[tuple[str, str, int, bool]]] = conn.execute(
        STATEMENTS["mark_listings"], {"source": source}
    ).all()
    if changed:
        refs = [(row.source, row.external_id) for row in changed]
        decide_listings(conn, refs, {row.asset_id for row in changed})
    gone = sum(row.is_gone for row in changed)
    return Delisted(gone, len(changed) - gone)
