"""Writing down what was decided: each pair in `corrections`, an event for each listing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, tuple_, update

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
    """A decision that cannot be: it names what is not there, or contradicts another."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who decides, and why."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that was recorded: its id, and which older ones it revoked."""

    id: int
    revoked: Sequence[int]
    pairs: int
    assets: Sequence[str] = ()
    """The slugs of what the listings are now."""
    listings: int = 0
    """How many listings were decided on, each by itself; none where it was pairs of them."""


def require_standing(kind: str, number: int, row: Row[Any] | None) -> Row[Any]:
    """Return a decision's row, where it is there and holds.

    Raises:
        CorrectionError: there is none, or it was revoked.
    """
    if row is None or row.revoked_at is not None:
        state = "was revoked" if row else "there is none"
        raise CorrectionError(f"{kind} {number}: {state}; see `worker identity show`")
    return row


def rule_same(
    conn: Connection, refs: Sequence[Ref], others: Sequence[Ref], signed: Signed
) -> Decided:
    """Rule each listing the same as the first of the others, and where need be as any of them.

    That is where another ruling has the very pair apart: the newer wins over it.
    """
    rulings = read_rulings(conn)
    pairs = []
    for ref in refs:
        for n, (one, other) in enumerate(pairs_of(ref, others)):
            ruled = rulings.corrected.get((one, other))
            mine, its = rulings.assets.get(one), rulings.assets.get(other)
            apart = not ruled[0] if ruled else None not in {mine, its} and mine != its
            if n == 0 or apart:
                pairs.append((one, other))
    return rule(conn, pairs, same=True, signed=signed)


def rule(
    conn: Connection, pairs: Sequence[tuple[Ref, Ref]], *, same: bool, signed: Signed
) -> Decided:
    """Record a ruling for each pair in place of what held of it."""
    revoked = conn.execute(
        update(corrections)
        .where(PAIR.in_([(*one, *other) for one, other in pairs]))
        .where(corrections.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(corrections.c.id)
    ).scalars()
    was = sorted(revoked)
    rows = [
        {
            "source": one[0],
            "external_id": one[1],
            "other_source": other[0],
            "other_external_id": other[1],
            "same": same,
            "decided_by": signed.by,
            "reason": signed.reason,
        }
        for one, other in pairs
    ]
    ids = conn.scalars(insert(corrections).values(rows).returning(corrections.c.id)).all()
    refuse_contradiction(conn, {ref for pair in pairs for ref in pair})
    return Decided(min(ids), was, len(pairs))


def refuse_contradiction(conn: Connection, refs: Collection[Ref]) -> None:
    rulings = read_rulings(conn)
    if chain := rulings.find_contradiction(rulings.component(refs)):
        raise CorrectionError(
            f"this contradicts what was ruled: {chain}; undo one of them first, or mend the file"
        )


def note(
    conn: Connection,
    moves: Sequence[tuple[Row[Any], int]],
    what: str,
    decided: Decided,
    signed: Signed,
) -> None:
    """Record who decided what of each listing, and why."""
    rows = [
        {
            "listing_id": listing.id,
            "from_asset_id": listing.asset_id,
            "to_asset_id": to,
            "method": "correction",
            "evidence": {"decision": what, "correction": decided.id},
            "decided_by": signed.by,
            "reason": signed.reason,
        }
        for listing, to in moves
    ]
    if rows:
        conn.execute(insert(identity_events).values(rows))
