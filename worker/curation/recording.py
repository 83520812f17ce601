"""Records decisions: a row of `corrections` for each pair, an event for each listing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, tuple_, update

from shared.errors import MarketDataError
from shared.schema.identity import corrections, identity_events
from worker.curation.rulings import pairs_of, read_rulings
from worker.identity.resolver.evidence import Ref

PAIR = tuple_(
    corrections.c.source,
    corrections.c.external_id,
    corrections.c.other_source,
    corrections.c.other_external_id,
)


class CorrectionError(MarketDataError):
    """A decision that is refused: its object does not exist, or it contradicts another one."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The person who decides, and the reason."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A recorded or revoked decision, and the ids of the older corrections that it revoked."""

    id: int
    """The first id of the decision, even if that one was revoked before; 0 if nothing was new."""
    ids: Sequence[int] = ()
    """The ids of its corrections, one for each pair; of an undo, those that it revoked."""
    revoked: Sequence[int] = ()
    earlier: Sequence[int] = ()
    """The corrections that decided the same before; then nothing was recorded."""
    assets: Sequence[str] = ()
    """The slugs of the assets that the listings belong to now."""
    listings: int = 0
    """The number of listings, if the decision is about single listings and not about pairs."""


def require_active(kind: str, number: int, row: Row[Any] | None) -> Row[Any]:
    """Return the row of a decision.

    Raises:
        CorrectionError: it does not exist, or was revoked.
    """
    if row is None or row.revoked_at is not None:
        state = "was revoked" if row else "not found"
        raise CorrectionError(f"{kind} {number}: {state}; see `worker identity show SLUG`")
    return row


def read_decision(conn: Connection, number: int) -> Sequence[Row[Any]]:
    """Return the corrections of a decision, revoked ones included; any of their ids names it.

    Raises:
        CorrectionError: it does not exist, or all of them were revoked. The message names the newer
            decision that did so, if that one applies.
    """
    one, c = corrections.alias(), corrections.c
    same_decision = (one.c.decided_at, one.c.decided_by, one.c.reason)
    stmt = select(corrections).join(
        one, tuple_(*same_decision) == tuple_(c.decided_at, c.decided_by, c.reason)
    )
    rows = conn.execute(stmt.where(one.c.id == number).order_by(c.id)).all()
    active = [row for row in rows if row.revoked_at is None]
    if rows and not active:
        pairs = [(r.source, r.external_id, r.other_source, r.other_external_id) for r in rows]
        newer = conn.scalar(
            select(func.min(c.id)).where(
                PAIR.in_(pairs),
                c.decided_at.in_([row.revoked_at for row in rows]),
                c.revoked_at.is_(None),
            )
        )
        if newer is not None:
            raise CorrectionError(
                f"correction {number}: was revoked by correction {newer}, which applies; to "
                f"revoke that one, run `worker identity undo {newer}`"
            )
    require_active("correction", number, next(iter([*active, *rows]), None))
    return rows


def record_same(
    conn: Connection, refs: Sequence[Ref], others: Sequence[Ref], attribution: Attribution
) -> Decision:
    """Record that each listing is the same as the first of the others.

    If an older ruling keeps a listing apart from another one of the others, that pair is recorded
    too, because the newer ruling on a pair wins.
    """
    rulings = read_rulings(conn)
    pairs = []
    for ref in refs:
        for n, (one, other) in enumerate(pairs_of(ref, others)):
            correction = rulings.corrected.get((one, other))
            asset, other_asset = rulings.assets.get(one), rulings.assets.get(other)
            if correction:
                apart = not correction[0]
            else:
                apart = None not in {asset, other_asset} and asset != other_asset
            if n == 0 or apart:
                pairs.append((one, other))
    return record_pairs(conn, pairs, same=True, attribution=attribution)


def record_pairs(
    conn: Connection, pairs: Sequence[tuple[Ref, Ref]], *, same: bool, attribution: Attribution
) -> Decision:
    """Record a correction for each pair, and revoke the pair's older one if it decided otherwise.

    If the older one decided the same, it stays and no other is recorded.
    """
    rulings = read_rulings(conn)
    new = [pair for pair in pairs if not rulings.find_corrections([pair], same=same)]
    if not new:
        return Decision(0, earlier=rulings.find_corrections(pairs, same=same))
    revoked = conn.execute(
        update(corrections)
        .where(PAIR.in_([(*one, *other) for one, other in new]))
        .where(corrections.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(corrections.c.id)
    ).scalars()
    revoked_ids = sorted(revoked)
    rows = [
        {
            "source": one[0],
            "external_id": one[1],
            "other_source": other[0],
            "other_external_id": other[1],
            "same": same,
            "decided_by": attribution.by,
            "reason": attribution.reason,
        }
        for one, other in new
    ]
    ids = sorted(conn.scalars(insert(corrections).values(rows).returning(corrections.c.id)))
    refuse_contradiction(conn, {ref for pair in new for ref in pair})
    return Decision(ids[0], ids, revoked_ids)


def refuse_contradiction(conn: Connection, refs: Collection[Ref]) -> None:
    rulings = read_rulings(conn)
    if chain := rulings.find_contradiction(rulings.component(refs)):
        raise CorrectionError(
            f"this contradicts earlier decisions: {chain}; undo one of them, or fix the "
            "crosswalk file"
        )


def record_events(
    conn: Connection,
    moves: Sequence[tuple[Row[Any], int]],
    kind: str,
    decision: Decision,
    attribution: Attribution,
) -> None:
    """Record an event for each listing, with its asset before and after the decision."""
    rows = [
        {
            "listing_id": listing.id,
            "from_asset_id": listing.asset_id,
            "to_asset_id": to,
            "method": "correction",
            "evidence": {"decision": kind, "correction": decision.id},
            "decided_by": attribution.by,
            "reason": attribution.reason,
        }
        for listing, to in moves
    ]
    if rows:
        conn.execute(insert(identity_events).values(rows))
