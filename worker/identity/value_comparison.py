"""SQL that compares market caps and supplies of two listings like `corroboration` does.

With it, a batch finds the listings to decide again in one statement. Comparisons of prices are
stored with the pairs (`pairs.sql`).
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
    """Return SQL for the accords of market caps and of supplies of two rows, given by name.

    The value is 1 if they agree, -1 if they differ, and 0 if that is unknown.
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
    """Return SQL for whether an accord of two rows changed.

    Supplies, the most expensive to compare, are compared only if one of them changed.
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
    """Return SQL that compares two numbers; NULL if one is unknown."""
    low, high = f"least({one}, {other})", f"greatest({one}, {other})"
    return (
        f"CASE WHEN {one} <> 0 AND {other} <> 0 THEN CASE WHEN {low} < 0 THEN 0"
        f" WHEN {high} <= {low} * {within} THEN 1 WHEN {high} > {low} * {beyond} THEN -1"
        f" ELSE 0 END END"
    )


def _supplies(one: str, other: str) -> str:
    found = []
    are_significant = []
    for supply in SUPPLIES:
        mine, its = f"{one}.{supply}", f"{other}.{supply}"
        accord = _accord(mine, its, SUPPLIES_AGREE_WITHIN, SUPPLIES_DIFFER_BEYOND)
        found.append(accord)
        is_significant = _is_significant(mine, its)
        are_significant.append(f"CASE WHEN {accord} = 1 THEN {is_significant} ELSE false END")
    return (
        f"CASE WHEN {' OR '.join(are_significant)} THEN 1"
        f" WHEN greatest({', '.join(found)}) = -1 THEN -1 ELSE 0 END"
    )


def _is_significant(one: str, other: str) -> str:
    def from_round(supply: str) -> str:
        return f"abs({supply} - CAST(to_char({supply}, '9.9EEEE') AS numeric))"

    return f"abs({one} - {other}) * 10 < least({from_round(one)}, {from_round(other)})"
