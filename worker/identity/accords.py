"""In SQL, whether market caps and supplies of two listings agree: the twin of `corroboration`.

So that a batch finds, in one statement, of which listings it has to decide anew. What prices say is
kept beside the pairs (`pairs.sql`).
"""

from shared.model.reviews import NEAR
from worker.identity.resolver.corroboration import (
    AGREE_WITHIN,
    CAPS_DIFFER_BEYOND,
    SUPPLIES_AGREE_WITHIN,
    SUPPLIES_DIFFER_BEYOND,
)

SUPPLIES = ("circulating_supply", "total_supply", "max_supply")


def accords(one: str, other: str) -> tuple[str, str]:
    """Write the accords of the rows by these two names: of market caps, of supplies.

    1 where they agree, -1 where they differ, 0 where that is not known.
    """
    near = (
        f"greatest({one}.observed_at, {other}.observed_at)"
        f" - least({one}.observed_at, {other}.observed_at)"
        f" <= interval '{NEAR.total_seconds():.0f} seconds'"
    )
    cap = _accord(
        f"{one}.market_cap_usd", f"{other}.market_cap_usd", AGREE_WITHIN, CAPS_DIFFER_BEYOND
    )
    return f"CASE WHEN {near} THEN coalesce({cap}, 0) ELSE 0 END", _supplies(one, other)


def accords_change(before: tuple[str, str], after: tuple[str, str]) -> str:
    """Write whether an accord of two rows is another after than before.

    Supplies, which are the dearest to compare, only where one of them changed.
    """
    cap, supplies = (
        f"{was} <> {is_}" for was, is_ in zip(accords(*before), accords(*after), strict=True)
    )
    had, has = (
        ", ".join(f"{row}.{supply}" for row in rows for supply in SUPPLIES)
        for rows in (before, after)
    )
    return f"({cap} OR ({had}) IS DISTINCT FROM ({has}) AND {supplies})"


def _accord(one: str, other: str, within: object, beyond: object) -> str:
    """Compare two numbers; NULL where one is unknown."""
    low, high = f"least({one}, {other})", f"greatest({one}, {other})"
    return (
        f"CASE WHEN {one} <> 0 AND {other} <> 0 THEN CASE WHEN {low} < 0 THEN 0"
        f" WHEN {high} <= {low} * {within} THEN 1 WHEN {high} > {low} * {beyond} THEN -1"
        f" ELSE 0 END END"
    )


def _supplies(one: str, other: str) -> str:
    found = []
    telling = []
    for supply in SUPPLIES:
        mine, its = f"{one}.{supply}", f"{other}.{supply}"
        accord = _accord(mine, its, SUPPLIES_AGREE_WITHIN, SUPPLIES_DIFFER_BEYOND)
        found.append(accord)
        telling.append(f"CASE WHEN {accord} = 1 THEN {_is_telling(mine, its)} ELSE false END")
    return (
        f"CASE WHEN {' OR '.join(telling)} THEN 1"
        f" WHEN greatest({', '.join(found)}) = -1 THEN -1 ELSE 0 END"
    )


def _is_telling(one: str, other: str) -> str:
    def from_round(supply: str) -> str:
        return f"abs({supply} - CAST(to_char({supply}, '9.9EEEE') AS numeric))"

    return f"abs({one} - {other}) * 10 < least({from_round(one)}, {from_round(other)})"
