"""What a person decides of listings: one asset, or not. Each holds until it is undone.

A decision is one or more rows of `corrections`, a pair of listings each, of one instant. Each
function decides in the caller's transaction, under the identity lock, which it takes.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, func, select, text, tuple_, update

from shared.schema.identity import corrections, identity_events
from shared.schema.market import assets, listings
from worker.curation import retirements
from worker.curation.recording import (
    CorrectionError,
    Decided,
    Signed,
    note,
    refuse_contradiction,
    require_standing,
    rule,
    rule_same,
)
from worker.curation.rulings import pairs_of, read_rulings, show_ref
from worker.database.locks import lock_identity
from worker.identity.resolver.evidence import Ref, side_of
from worker.ingest.batch.apply import decide_anew

# An asset of its own for a listing that is taken out of one; its slug is given once decided.
INSERT_ASSET = text("""
INSERT INTO assets (id, slug, symbol, name) OVERRIDING SYSTEM VALUE
SELECT n.id, '~' || n.id, upper(l.symbol), l.name
FROM listings AS l
CROSS JOIN (SELECT nextval(pg_get_serial_sequence('assets', 'id')) AS id) AS n
WHERE l.id = :listing_id
RETURNING id
""")

# Listings that a decision brought into an asset, where they are still one with others.
FIND_WHO_CAME = text("""
WITH came AS (
  SELECT l.id, l.source, l.external_id, l.asset_id
  FROM identity_events AS e JOIN listings AS l ON l.id = e.listing_id AND l.asset_id = e.to_asset_id
  WHERE e.method = 'correction' AND e.evidence ->> 'decision' IN ('link', 'merge')
    AND CAST(e.evidence ->> 'correction' AS integer) = :correction_id
    AND e.from_asset_id <> e.to_asset_id
)
SELECT * FROM came
WHERE EXISTS (SELECT FROM listings AS l
              WHERE l.asset_id = came.asset_id AND l.id NOT IN (SELECT id FROM came))
ORDER BY source, external_id
""")


def link(conn: Connection, ref: Ref, slug: str, signed: Signed) -> Decided:
    """Decide that a listing is the asset of that slug.

    What the rule holds to be one with the listing comes with it; then the older asset's slug stays.
    """
    lock_identity(conn)
    listing, asset = _find_listing(conn, ref), _find_asset(conn, slug)
    members = _members(conn, asset.id)
    others = [member for member in members if ref_of(member) != ref]
    if not others:
        raise CorrectionError(f"{show_ref(ref)} alone is {slug!r} already; nothing to link")
    decided = _rule_one_asset(conn, [ref], [ref_of(other) for other in others], signed)
    _move(conn, [listing], asset.id, "link", decided, signed)
    decide_anew(conn, [ref, *map(ref_of, members)], [listing.asset_id, asset.id])
    return replace(decided, assets=_slugs_of(conn, [ref]))


def merge(conn: Connection, slug: str, into: str, signed: Signed) -> Decided:
    """Decide that one asset's listings are another asset, whose slug stays."""
    lock_identity(conn)
    asset, other = _find_asset(conn, slug), _find_asset(conn, into)
    if asset.id == other.id:
        raise CorrectionError(f"{slug!r} is one asset; name two")
    members, others = _members(conn, asset.id), _members(conn, other.id)
    refs, other_refs = [*map(ref_of, members)], [*map(ref_of, others)]
    decided = _rule_one_asset(conn, refs, other_refs, signed)
    _move(conn, members, other.id, "merge", decided, signed)
    decide_anew(conn, [*refs, *other_refs], [asset.id, other.id])
    return replace(decided, assets=_slugs_of(conn, refs))


def split(conn: Connection, ref: Ref, other: Ref | None, signed: Signed) -> Decided:
    """Decide that a listing is not what it is one with now, or is not one `other` listing.

    Then the listing leaves, or of the two the one that came into their asset later. What a
    crosswalk makes one with it counts, though it may not be there yet.
    """
    lock_identity(conn)
    listing = _find_listing(conn, ref)
    mates = [m for m in _members(conn, listing.asset_id) if m.id != listing.id]
    if other is None:
        kept_apart = mates
        waiting = read_rulings(conn).written_same(ref)
        if not mates:
            raise CorrectionError(
                f"{show_ref(ref)} is an asset of its own; to reject a review name the other"
                " listing: --from SOURCE EXTERNAL_ID"
            )
    else:
        kept_apart = [_find_listing(conn, other)]
        waiting = set()
        if other == ref:
            raise CorrectionError(f"{show_ref(ref)} is one listing; name two")
    refs = sorted({*map(ref_of, kept_apart), *waiting})
    decided = rule(conn, pairs_of(ref, refs), same=False, signed=signed)
    leaves = any(each.asset_id == listing.asset_id for each in kept_apart)
    leaving = listing
    if leaves and other is not None and _came(conn, kept_apart[0]) > _came(conn, listing):
        [leaving] = kept_apart
    to = conn.scalars(INSERT_ASSET, {"listing_id": leaving.id}).one() if leaves else None
    _move(conn, [leaving], to or leaving.asset_id, "split", decided, signed)
    touched = {listing.asset_id, *(each.asset_id for each in kept_apart), *([to] if to else [])}
    decide_anew(conn, [ref, *refs, *map(ref_of, mates)], touched)
    return replace(decided, assets=_slugs_of(conn, [ref]))


def undo(conn: Connection, correction_id: int, signed: Signed) -> Decided:
    """Revoke a decision, all its pairs; what it had revoked stays revoked.

    The decision may also be a retirement.
    """
    if retirements.find_retirement(conn, correction_id) is not None:
        return retirements.undo(conn, correction_id, signed)
    lock_identity(conn)
    c = corrections.c
    decision = conn.execute(select(corrections).where(c.id == correction_id)).one_or_none()
    row = require_standing("correction", correction_id, decision)
    rows = conn.execute(
        update(corrections)
        .where(
            c.decided_at == row.decided_at,
            c.decided_by == row.decided_by,
            c.reason == row.reason,
            c.revoked_at.is_(None),
        )
        .values(revoked_at=func.now())
        .returning(corrections)
    ).all()
    refuse_contradiction(conn, refs_of(rows))
    found = _find_listings(conn, refs_of(rows))
    decided = Decided(min(each.id for each in rows), [each.id for each in rows], len(rows))
    came = conn.execute(FIND_WHO_CAME, {"correction_id": decided.id}).all()
    own = {}
    if came:
        # Out of the asset again, so that it is the others which keep its slug.
        to = conn.scalars(INSERT_ASSET, {"listing_id": came[0].id}).one()
        own = {each.id: to for each in came}
        conn.execute(update(listings).where(listings.c.id.in_(own)).values(asset_id=to))
    moves = [(each, own.get(each.id, each.asset_id)) for each in found]
    note(conn, moves, "undo", decided, signed)
    touched = {asset_id for each, to in moves for asset_id in (each.asset_id, to)}
    decide_anew(conn, {*refs_of(rows), *map(ref_of, came)}, touched)
    return replace(decided, assets=_slugs_of(conn, refs_of(rows)))


def _rule_one_asset(
    conn: Connection, refs: Sequence[Ref], members: Sequence[Ref], signed: Signed
) -> Decided:
    """Rule the listings the same as the members of an asset, so that it holds all of them.

    Where a source then has two in it, the members are ruled one too: the rule would let go of one.
    """
    anchor, *mates = members
    crowded = {side_of(ref) for ref in refs} & {side_of(mate) for mate in mates}
    return rule_same(conn, [*refs, *(mates if crowded else [])], [anchor, *mates], signed)


def _move(
    conn: Connection,
    moving: Sequence[Row[Any]],
    asset_id: int,
    what: str,
    decided: Decided,
    signed: Signed,
) -> None:
    """Put the listings into the asset, so that it is this one which keeps its slug.

    Their method is what this makes of them: where the rule agrees, that is no event of its own.
    """
    note(conn, [(each, asset_id) for each in moving], what, decided, signed)
    conn.execute(
        update(listings)
        .where(listings.c.id.in_([each.id for each in moving]), listings.c.asset_id != asset_id)
        .values(asset_id=asset_id, match_method="own" if what == "split" else "correction")
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
        raise CorrectionError(f"no asset {slug!r}; see `worker identity list`")
    return found


def _came(conn: Connection, listing: Row[Any]) -> int:
    """Say by which event a listing came into its asset; 0 where it was there from the first."""
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
