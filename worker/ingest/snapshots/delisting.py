"""Listings that their source lists no more.

A listing is delisted once enough whole snapshots in turn are without it (`Expectations.delisted`),
and listed again with the first whole snapshot that holds it. Whole are the source's own runs that
succeeded; a run that is partial or failed says nothing, nor does an import. Which ids a snapshot
holds is recorded page by page with the batches, so that a run that goes on with another's snapshot
knows them, and a page that was not modified is known to hold what it held.

The alternative, a time of the last sighting in each listing, would be written with every pass, and
one bad pass of a provider would delist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row

from shared.model.catalogue import EXPECTATIONS
from shared.schema.raw import RAW
from worker.database.locks import lock_identity
from worker.database.statements import read_statements, shared_parts
from worker.ingest.batch.apply import decide_anew

STATEMENTS = read_statements(__file__, "delisting.sql", **shared_parts())


@dataclass(frozen=True, slots=True)
class Delisted:
    """What changed with a snapshot: how many listings were delisted, and listed again."""

    gone: int = 0
    returned: int = 0


def is_judged(source: str) -> bool:
    """Say whether snapshots of a source tell which listings are gone."""
    return source in RAW and EXPECTATIONS[source].delisted is not None


def end_snapshot(conn: Connection, source: str, at: datetime) -> Delisted:
    """Take in a snapshot that was read whole, and was found good, in the caller's transaction.

    The assets of listings that went or came back are decided anew. `at` is by our clock.
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
    """Have a source's listings, and their assets, say what is recorded of their delisting."""
    lock_identity(conn)
    changed: Sequence[Row[tuple[str, str, int, bool]]] = conn.execute(
        STATEMENTS["mark_listings"], {"source": source}
    ).all()
    if changed:
        refs = [(row.source, row.external_id) for row in changed]
        decide_anew(conn, refs, {row.asset_id for row in changed})
    gone = sum(row.is_gone for row in changed)
    return Delisted(gone, len(changed) - gone)
