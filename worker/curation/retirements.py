"""Retirements: a person marks listings as delisted that no snapshot covers.

A decision is one or more rows of `retirements` with the same time. It applies until it is revoked.
Each function works in the caller's transaction and takes the identity lock.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Row, func, select, text, tuple_, update

from shared.schema.market import assets, listings, retirements
from worker.curation.recording import (
    Attribution,
    CorrectionError,
    Decision,
    record_events,
    require_active,
)
from worker.curation.rulings import show_ref
from worker.database.locks import lock_identity
from worker.identity.resolver.evidence import Ref
from worker.ingest.snapshots.delisting import is_judged, mark_listings

# Ids come from the sequence of corrections, so that a number identifies one decision of any kind.
INSERT = text("""
INSERT INTO retirements (id, source, external_id, decided_by, reason)
SELECT nextval(pg_get_serial_sequence('corrections', 'id')), source, external_id, :by, :reason
FROM unnest(CAST(:sources AS text[]), CAST(:external_ids AS text[])) AS r (source, external_id)
RETURNING id
""")


def retire(conn: Connection, refs: Collection[Ref], attribution: Attribution) -> Decision:
    """Mark the listings as delisted.

    Raises:
        CorrectionError: a listing does not exist or is retired, or the snapshots of its source
            show which listings it has.
    """
    lock_identity(conn)
    refs = sorted(set(refs))
    for source in sorted({source for source, _ in refs}):
        if is_judged(source):
            raise CorrectionError(
                f"{source}: cannot retire its listings; a listing that is missing in the source's "
                "snapshots is delisted automatically"
            )
    found = _find_listings(conn, refs)
    existing = {(row.source, row.external_id) for row in found}
    if missing := [ref for ref in refs if ref not in existing]:
        raise CorrectionError(f"{_names(missing)}: no such listing; see `worker identity list`")
    r = retirements.c
    active = select(r.source, r.external_id).where(
        r.revoked_at.is_(None), tuple_(r.source, r.external_id).in_(refs)
    )
    if retired := [(row.source, row.external_id) for row in conn.execute(active)]:
        raise CorrectionError(f"{_names(sorted(retired))}: already retired")
    parameters = {
        "sources": [source for source, _ in refs],
        "external_ids": [external_id for _, external_id in refs],
        "by": attribution.by,
        "reason": attribution.reason,
    }
    number = min(conn.scalars(INSERT, parameters))
    return _apply(conn, found, number, "retire", attribution)


def find_retirement(conn: Connection, number: int) -> Row[tuple[object, ...]] | None:
    """Find a retirement by its number, even if it was revoked."""
    return conn.execute(select(retirements).where(retirements.c.id == number)).one_or_none()


def undo(conn: Connection, number: int, attribution: Attribution) -> Decision:
    """Revoke a decision for all its listings.

    Raises:
        CorrectionError: no decision has this number, or it was revoked.
    """
    lock_identity(conn)
    row = require_active("decision", number, find_retirement(conn, number))
    r = retirements.c
    same_decision = (
        r.decided_at == row.decided_at,
        r.decided_by == row.decided_by,
        r.reason == row.reason,
    )
    return revoke(conn, same_decision, attribution)


def revoke(
    conn: Connection, conditions: Collection[ColumnElement[bool]], attribution: Attribution
) -> Decision:
    """Revoke the active retirements that meet all conditions; at least one must."""
    lock_identity(conn)
    r = retirements.c
    revoked = conn.execute(
        update(retirements)
        .where(*conditions, r.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(r.id, r.source, r.external_id)
    ).all()
    refs = [(each.source, each.external_id) for each in revoked]
    first = min(each.id for each in revoked)
    return _apply(conn, _find_listings(conn, refs), first, "undo", attribution)


def _apply(
    conn: Connection,
    found: Sequence[Row[tuple[object, ...]]],
    number: int,
    kind: str,
    attribution: Attribution,
) -> Decision:
    """Record the events, then update the listings and their assets."""
    decision = Decision(number, listings=len(found))
    record_events(conn, [(row, row.asset_id) for row in found], kind, decision, attribution)
    for source in sorted({row.source for row in found}):
        mark_listings(conn, source)
    ids = [row.id for row in found]
    slugs = conn.scalars(
        select(assets.c.slug)
        .distinct()
        .join(listings, listings.c.asset_id == assets.c.id)
        .where(listings.c.id.in_(ids))
        .order_by(assets.c.slug)
    ).all()
    return replace(decision, assets=slugs)


def _find_listings(conn: Connection, refs: Collection[Ref]) -> Sequence[Row[tuple[object, ...]]]:
    key = tuple_(listings.c.source, listings.c.external_id)
    stmt = select(listings).where(key.in_(list(refs)))
    return conn.execute(stmt.order_by(listings.c.source, listings.c.external_id)).all()


def _names(refs: Sequence[Ref]) -> str:
    """Format the first five listings and the number of the others."""
    more = f" and {len(refs) - 5} more" if len(refs) > 5 else ""  # noqa: PLR2004
    return ", ".join(map(show_ref, refs[:5])) + more
