"""Whether the values of two listings agree: prices, market caps, supplies."""

from collections.abc import Callable
from datetime import timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import NamedTuple

from shared.model.reviews import DIFFER_BEYOND, NEAR
from worker.identity.resolver.evidence import Accord, Candidate


class Standing(NamedTuple):
    """What the prices of two listings say by all that was observed of them.

    Where they differ now and that does not last yet, the accord is what they said before.
    """

    accord: Accord
    is_disputed: bool = False


PriceComparison = Callable[[Candidate, Candidate], Standing]

AGREE_WITHIN = Decimal("1.1")
"""Sources may be a tenth apart on one coin."""
CAPS_DIFFER_BEYOND = 10
SUPPLIES_AGREE_WITHIN = Decimal("1.005")
SUPPLIES_DIFFER_BEYOND = 10

LASTING = timedelta(hours=6)
LASTING_CELLS = 5
"""Prices that had not differed contradict a link after so long, and in so many cells, of nothing
but differing. An instant is in two cells at most: so these are three instants at least."""
FEWEST_SHARED = 10
"""A contradiction that most pairs of a source, and so many, came to at once is its own fault."""

# Wide enough that no product of two stored numbers is rounded: the SQL twin does not round either.
_EXACT = Context(prec=100_000, Emax=MAX_EMAX, Emin=MIN_EMIN)
_ROUND = Context(prec=2, Emax=MAX_EMAX, Emin=MIN_EMIN)


def compare_newest_prices(one: Candidate, other: Candidate) -> Standing:
    """Compare two listings of which nothing but their newest prices is known.

    Unknown where one is missing or zero, where they were observed more than `NEAR` apart, and
    between `AGREE_WITHIN` and `DIFFER_BEYOND`.
    """
    if abs(one.observed_at - other.observed_at) > NEAR:
        return Standing("unknown")
    return Standing(_compare(one.price_usd, other.price_usd, AGREE_WITHIN, DIFFER_BEYOND))


def compare_market_caps(one: Candidate, other: Candidate) -> Accord:
    if abs(one.observed_at - other.observed_at) > NEAR:
        return "unknown"
    return _compare(one.market_cap_usd, other.market_cap_usd, AGREE_WITHIN, CAPS_DIFFER_BEYOND)


def compare_supplies(one: Candidate, other: Candidate) -> Accord:
    """Say whether supplies agree: any telling one does. They differ where all are far apart.

    Thousands of tokens have a supply of 1 000 000 000 or a few less: two supplies tell something
    where they are ten times closer to each other than to the next round number.
    """
    pairs = (
        (one.circulating_supply, other.circulating_supply),
        (one.total_supply, other.total_supply),
        (one.max_supply, other.max_supply),
    )
    accords = []
    for mine, its in pairs:
        accord = _compare(mine, its, SUPPLIES_AGREE_WITHIN, SUPPLIES_DIFFER_BEYOND)
        if accord == "agree" and mine is not None and its is not None and _is_telling(mine, its):
            return "agree"
        if mine and its:
            accords.append(accord)
    return "differ" if accords and set(accords) == {"differ"} else "unknown"


def _compare(one: Decimal | None, other: Decimal | None, within: Decimal, beyond: int) -> Accord:
    if not one or not other:
        return "unknown"
    low, high = min(one, other), max(one, other)
    if low < 0:
        return "unknown"
    if high <= _EXACT.multiply(low, within):
        return "agree"
    return "differ" if high > _EXACT.multiply(low, Decimal(beyond)) else "unknown"


def _is_telling(one: Decimal, other: Decimal) -> bool:
    apart = abs(_EXACT.subtract(one, other))
    from_round = min(abs(_EXACT.subtract(supply, _ROUND.plus(supply))) for supply in (one, other))
    return _EXACT.multiply(apart, Decimal(10)) < from_round
