"""Corrections: a person decides that listings are one asset, or not.

A decision is one or more rows of `corrections` with the same time, one for each pair of listings.
It applies until it is revoked. Each function works in the caller's transaction and takes the
identity lock.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, func, select, text, tuple_, update

from shared.schema.identity import corrections, identity_events
from shared.schema.market import assets, listings
from worker.curation import retirements
from worker.curation.recording import (
    Attribution,
    CorrectionError,
    Decision,
    read_decision,
    record_events,
    record_pairs,
    record_same,
    refuse_contradiction,
)
from worker.curation.review import describe_missing
from worker.curation.rulings import pairs_of, read_rulings, show_ref
from worker.database.locks import lock_identity
from worker.identity.resolver.evidence import Ref, side_of
from worker.ingest.batch.apply_decisions import decide_listings

# A new asset for a listing that leaves its asset. Identity assigns the slug later.
INSERT_ASSET = text("""
INSERT INTO assets (id, slug, symbol, name) OVERRIDING SYSTEM VALUE
SELECT n.id, '~' || n.id, upper(l.symbol), l.name
FROM listings AS l
CROSS JOIN (SELECT nextval(pg_get_serial_sequence('assets', 'id')) AS id) AS n
WHERE l.id = :listing_id
RETURNING id
""")

# Listings that a decision moved into an asset in which there are still other listings.
FIND_MOVED_LISTINGS = text("""
WITH moved AS (
  SELECT l.id, l.source, l.external_id, l.asset_id
  FROM identity_events AS e JOIN listings AS l ON l.id = e.listing_id AND l.asset_id = e.to_asset_id
  WHERE e.method = 'correction' AND e.evidence ->> 'decision' IN ('link', 'merge')
    AND CAST(e.evidence ->> 'correction' AS integer) = :correction_id
    AND e.from_asset_id <> e.to_asset_id
)
SELECT * FROM moved
WHERE EXISTS (SELECT FROM listings AS l
              WHERE l.asset_id = moved.asset_id AND l.id NOT IN (SELECT id FROM moved))
ORDER BY source, external_id
""")


def link(conn: Connection, ref: Ref, slug: str, attribution: Attribution) -> Decision:
    """Decide that a listing belongs to the asset with this slug.

    Listings that the rules link to it move too. In that case the older asset's slug stays. If a
    decision linked the listing to one of the asset before, nothing changes.
    """
    lock_identity(conn)
    listing, asset = _find_listing(conn, ref), _find_asset(conn, slug)
    members = _members(conn, asset.id)
    others = [member for member in members if ref_of(member) != ref]
    if not others:
        raise CorrectionError(f"{show_ref(ref)} is the only listing of {slug!r}; nothing to link")
    other_refs = [ref_of(other) for other in others]
    if listing.asset_id == asset.id:
        rulings, pairs = read_rulings(conn), pairs_of(ref, other_refs)
        if earlier := rulings.find_corrections(pairs, same=True):
            return Decision(0, earlier=earlier, assets=[slug])
    decision = _record_one_asset(conn, [ref], other_refs, attribution)
    _move(conn, [listing], asset.id, "link", decision, attribution)
    decide_listings(conn, [ref, *map(ref_of, members)], [listing.asset_id, asset.id])
    return replace(decision, assets=_slugs_of(conn, [ref]))


def merge(conn: Connection, slug: str, into: str, attribution: Attribution) -> Decision:
    """Decide that the listings of one asset belong to another asset, whose slug stays."""
    lock_identity(conn)
    asset, other = _find_asset(conn, slug), _find_asset(conn, into)
    if asset.id == other.id:
        raise CorrectionError(f"cannot merge {slug!r} into itself; name another asset")
    members, others = _members(conn, asset.id), _members(conn, other.id)
    refs, other_refs = [*map(ref_of, members)], [*map(ref_of, others)]
    decision = _record_one_asset(conn, refs, other_refs, attribution)
    _move(conn, members, other.id, "merge", decision, attribution)
    decide_listings(conn, [*refs, *other_refs], [asset.id, other.id])
    return replace(decision, assets=_slugs_of(conn, refs))


def split(conn: Connection, ref: Ref, other: Ref | None, attribution: Attribution) -> Decision:
    """Separate a listing from all other listings of its asset, or from the `other` listing only.

    Without `other` the listing leaves the asset, and is also kept apart from the listings of the
    same crosswalk asset, which need not exist yet. With `other` the one of the two leaves that
    joined their asset later.
    """
    lock_identity(conn)
    listing = _find_listing(conn, ref)
    siblings = [m for m in _members(conn, listing.asset_id) if m.id != listing.id]
    if other is None:
        opposed = siblings
        crosswalk_refs = read_rulings(conn).crosswalk_matches(ref)
        if not siblings:
            raise CorrectionError(
                f"{show_ref(ref)} is the only listing of its asset; to reject a review, name the"
                " other listing: --from SOURCE EXTERNAL_ID"
            )
    else:
        opposed = [_find_listing(conn, other)]
        crosswalk_refs = set()
        if other == ref:
            raise CorrectionError(f"cannot split {show_ref(ref)} from itself; name another listing")
    refs = sorted({*map(ref_of, opposed), *crosswalk_refs})
    decision = record_pairs(conn, pairs_of(ref, refs), same=False, attribution=attribution)
    if decision.earlier:
        return replace(decision, assets=_slugs_of(conn, [ref]))
    are_linked = any(each.asset_id == listing.asset_id for each in opposed)
    leaving = listing
    if (
        are_linked
        and other is not None
        and _joined_at(conn, opposed[0]) > _joined_at(conn, listing)
    ):
        [leaving] = opposed
    new = conn.scalars(INSERT_ASSET, {"listing_id": leaving.id}).one() if are_linked else None
    _move(conn, [leaving], new or leaving.asset_id, "split", decision, attribution)
    affected = {listing.asset_id, *(each.asset_id for each in opposed), *([new] if new else [])}
    decide_listings(conn, [ref, *refs, *map(ref_of, siblings)], affected)
    return replace(decision, assets=_slugs_of(conn, [ref]))


def undo(conn: Connection, correction_id: int, attribution: Attribution) -> Decision:
    """Revoke a decision, named by any of its ids; what it had revoked stays revoked."""
    if retirements.find_retirement(conn, correction_id) is not None:
        return retirements.undo(conn, correction_id, attribution)
    lock_identity(conn)
    decided = read_decision(conn, correction_id)
    rows = conn.execute(
        update(corrections)
        .where(corrections.c.id.in_([each.id for each in decided]))
        .where(corrections.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(corrections)
    ).all()
    refuse_contradiction(conn, refs_of(rows))
    affected_listings = _find_listings(conn, refs_of(rows))
    decision = Decision(decided[0].id, sorted(each.id for each in rows))
    moved = conn.execute(FIND_MOVED_LISTINGS, {"correction_id": decision.id}).all()
    new_assets = {}
    if moved:
        # Moved out first, so that the other listings keep the slug.
        new = conn.scalars(INSERT_ASSET, {"listing_id": moved[0].id}).one()
        new_assets = {each.id: new for each in moved}
        conn.execute(update(listings).where(listings.c.id.in_(new_assets)).values(asset_id=new))
    moves = [(each, new_assets.get(each.id, each.asset_id)) for each in affected_listings]
    record_events(conn, moves, "undo", decision, attribution)
    affected = {asset_id for each, to in moves for asset_id in (each.asset_id, to)}
    decide_listings(conn, {*refs_of(rows), *map(ref_of, moved)}, affected)
    return replace(decision, assets=_slugs_of(conn, refs_of(rows)))


def _record_one_asset(
    conn: Connection, refs: Sequence[Ref], members: Sequence[Ref], attribution: Attribution
) -> Decision:
    """Record that the listings are the same as the members of an asset.

    If one source then has two listings in the asset, the members are recorded as the same too.
    Otherwise the rules would remove one of them.
    """
    anchor, *others = members
    shared = {side_of(ref) for ref in refs} & {side_of(other) for other in others}
    return record_same(conn, [*refs, *(others if shared else [])], [anchor, *others], attribution)


def _move(
    conn: Connection,
    moving: Sequence[Row[Any]],
    asset_id: int,
    kind: str,
    decision: Decision,
    attribution: Attribution,
) -> None:
    """Move the listings into the asset before identity decides, so that the asset keeps its slug.

    The method is set too, so that identity records no second event if it agrees.
    """
    record_events(conn, [(each, asset_id) for each in moving], kind, decision, attribution)
    conn.execute(
        update(listings)
        .where(listings.c.id.in_([each.id for each in moving]), listings.c.asset_id != asset_id)
        .values(asset_id=asset_id, match_method="own" if kind == "split" else "correction")
    )


def _find_listings(conn: Connection, refs: Collection[Ref]) -> Sequence[Row[Any]]:
    key = tuple_(listings.c.source, listings.c.external_id)
    return conn.execute(select(listings).where(key.in_(list(refs)))).all()


def _find_listing(conn: Connection, ref: Ref) -> Row[Any]:
    found = _find_listings(conn, [ref])
    if not found:
        raise CorrectionError(f"{ref[0]}: no listing {ref[1]!r}; see `worker identity list`")
    return found[0]


def _find_asset(conn: Connection, slug: str) -> Row[Any]:
    found = conn.execute(select(assets).where(assets.c.slug == slug)).one_or_none()
    if found is None:
        raise CorrectionError(describe_missing(conn, slug))
    return found


def _joined_at(conn: Connection, listing: Row[Any]) -> int:
    """Return the id of the event that moved a listing into its asset; 0 if it was never moved."""
    e = identity_events.c
    stmt = select(func.coalesce(func.max(e.id), 0)).where(
        e.listing_id == listing.id,
        e.to_asset_id == listing.asset_id,
        e.from_asset_id != e.to_asset_id,
    )
    return int(conn.scalars(stmt).one())


def _slugs_of(conn: Connection, refs: Collection[Ref]) -> Sequence[str]:
    ids = [each.asset_id for each in _find_listings(conn, refs)]
    return conn.scalars(select(assets.c.slug).where(assets.c.id.in_(ids)).order_by("slug")).all()


def _members(conn: Connection, asset_id: int) -> Sequence[Row[Any]]:
    stmt = select(listings).where(listings.c.asset_id == asset_id)
    return conn.execute(stmt.order_by(listings.c.source, listings.c.external_id)).all()


def ref_of(row: Row[Any]) -> Ref:
    return row.source, row.external_id


def refs_of(rows: Sequence[Row[Any]]) -> set[Ref]:
    others = {(row.other_source, row.other_external_id) for row in rows}
    return {ref_of(row) for row in rows} | others
