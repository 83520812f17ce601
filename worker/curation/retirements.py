"""What a person decides of listings that no snapshot tells about: their source lists them no more.

A decision is one or more rows of `retirements` of one instant, and holds until it is undone. Each
function decides in the caller's transaction, under the identity lock, which it takes.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Row, func, select, text, tuple_, update

from shared.schema.market import assets, listings, retirements
from worker.curation.recording import CorrectionError, Decided, Signed, note, require_standing
from worker.curation.rulings import show_ref
from worker.database.locks import lock_identity
from worker.identity.resolver.evidence import Ref
from worker.ingest.snapshots.delisting import is_judged, mark_listings

# The ids are drawn with those of corrections, so that one number names one decision of either kind.
INSERT = text("""
INSERT INTO retirements (id, source, external_id, decided_by, reason)
SELECT nextval(pg_get_serial_sequence('corrections', 'id')), source, external_id, :by, :reason
FROM unnest(CAST(:sources AS text[]), CAST(:external_ids AS text[])) AS r (source, external_id)
RETURNING id
""")


def retire(conn: Connection, refs: Collection[Ref], signed: Signed) -> Decided:
    """Decide that the listings are listed no more.

    Raises:
        CorrectionError: a listing is not there, or was retired before; or its source's own
            snapshots tell what it lists.
    """
    lock_identity(conn)
    wanted = sorted(set(refs))
    for source in sorted({source for source, _ in wanted}):
        if is_judged(source):
            raise CorrectionError(
                f"{source}: its snapshots tell what it lists, and a listing that they are without "
                "is delisted by itself; only listings that no snapshot tells about are retired"
            )
    found = _find_listings(conn, wanted)
    there = {(row.source, row.external_id) for row in found}
    if missing := [ref for ref in wanted if ref not in there]:
        raise CorrectionError(f"{_named(missing)}: no such listing; see `worker identity list`")
    r = retirements.c
    standing = select(r.source, r.external_id).where(
        r.revoked_at.is_(None), tuple_(r.source, r.external_id).in_(wanted)
    )
    if retired := [(row.source, row.external_id) for row in conn.execute(standing)]:
        raise CorrectionError(f"{_named(sorted(retired))}: retired already; nothing to decide")
    asked = {
        "sources": [source for source, _ in wanted],
        "external_ids": [external_id for _, external_id in wanted],
        "by": signed.by,
        "reason": signed.reason,
    }
    number = min(conn.scalars(INSERT, asked))
    return _apply(conn, found, number, "retire", signed)


def find_retirement(conn: Connection, number: int) -> Row[tuple[object, ...]] | None:
    """Find a decision by its number, revoked or not."""
    return conn.execute(select(retirements).where(retirements.c.id == number)).one_or_none()


def undo(conn: Connection, number: int, signed: Signed) -> Decided:
    """Revoke a decision, for all listings that it named.

    Raises:
        CorrectionError: there is none of that number, or it was revoked.
    """
    lock_identity(conn)
    row = require_standing("decision", number, find_retirement(conn, number))
    r = retirements.c
    its_own = (
        r.decided_at == row.decided_at,
        r.decided_by == row.decided_by,
        r.reason == row.reason,
    )
    return revoke(conn, its_own, signed)


def revoke(conn: Connection, chosen: Collection[ColumnElement[bool]], signed: Signed) -> Decided:
    """Revoke the standing retirements that meet all conditions; at least one does."""
    lock_identity(conn)
    r = retirements.c
    revoked = conn.execute(
        update(retirements)
        .where(*chosen, r.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(r.id, r.source, r.external_id)
    ).all()
    refs = [(each.source, each.external_id) for each in revoked]
    first = min(each.id for each in revoked)
    return _apply(conn, _find_listings(conn, refs), first, "undo", signed)


def _apply(
    conn: Connection,
    found: Sequence[Row[tuple[object, ...]]],
    number: int,
    what: str,
    signed: Signed,
) -> Decided:
    """Record who decided what, and have listings and assets follow."""
    decided = Decided(number, [], 0, listings=len(found))
    note(conn, [(row, row.asset_id) for row in found], what, decided, signed)
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
    return replace(decided, assets=slugs)


def _find_listings(conn: Connection, refs: Collection[Ref]) -> Sequence[Row[tuple[object, ...]]]:
    key = tuple_(listings.c.source, listings.c.external_id)
    stmt = select(listings).where(key.in_(list(refs)))
    return conn.execute(stmt.order_by(listings.c.source, listings.c.external_id)).all()


def _named(refs: Sequence[Ref]) -> str:
    """Name the first of them, and how many more there are."""
    more = f" and {len(refs) - 5} more" if len(refs) > 5 else ""  # noqa: PLR2004
    return ", ".join(map(show_ref, refs[:5])) + more
