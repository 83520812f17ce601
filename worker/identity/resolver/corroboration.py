"""Comparison of prices, market caps and supplies of two listings.

Identity has these words for results:

- accord: the result of one comparison of two numbers: `agree`, `differ` or `unknown`
- verdict of a compared pair: the result of comparing its prices hour by hour (`pairs.sql`)
- standing: what the resolver uses of that verdict, an accord and whether it is disputed
- agreement of a pair: all its accords, and the relations of its symbols, names, ids and contracts
- verdict of a match: `linked` or `review`
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import NamedTuple

from shared.model.reviews import DIFFER_BEYOND, NEAR
from worker.identity.resolver.evidence import Accord, Candidate


class Standing(NamedTuple):
    """The comparison of the prices of two listings over time.

    While a difference has not lasted, the accord is that from before it.
    """

    accord: Accord
    is_disputed: bool = False


PriceComparison = Callable[[Candidate, Candidate], Standing]

AGREE_WITHIN = Decimal("1.1")
"""Prices of one coin differ by up to a tenth between sources."""
CAPS_DIFFER_BEYOND = 10
SUPPLIES_AGREE_WITHIN = Decimal("1.005")
SUPPLIES_DIFFER_BEYOND = 10

LASTING = timedelta(hours=6)
LASTING_CELLS = 5
"""Prices break a link after they have differed for this time, in this many hourly cells. An instant
is in at most two cells, so these are at least three instants."""
FEWEST_SHARED = 10
"""If most pairs of a source, and at least this many, differ at once, the source is wrong."""

# Wide enough that no product of two stored numbers is rounded, as in the SQL version.
_EXACT = Context(prec=100_000, Emax=MAX_EMAX, Emin=MIN_EMIN)
_ROUND = Context(prec=2, Emax=MAX_EMAX, Emin=MIN_EMIN)


def compare_newest_prices(one: Candidate, other: Candidate) -> Standing:
    """Compare two listings only by their newest prices.

    The result is unknown if a price is missing or zero, if they were observed more than `NEAR`
    apart, and between `AGREE_WITHIN` and `DIFFER_BEYOND`.
    """
    if abs(one.observed_at - other.observed_at) > NEAR:
        return Standing("unknown")
    return Standing(_compare(one.price_usd, other.price_usd, AGREE_WITHIN, DIFFER_BEYOND))


def compare_market_caps(one: Candidate, other: Candidate) -> Accord:
    if abs(one.observed_at - other.observed_at) > NEAR:
        return "unknown"
    return _compare(one.market_cap_usd, other.market_cap_usd, AGREE_WITHIN, CAPS_DIFFER_BEYOND)


def compare_supplies(one: Candidate, other: Candidate) -> Accord:
    """Compare supplies: they agree if a significant one does, and differ if all are far apart.

    Thousands of tokens have a supply of 1 000 000 000 or a little less. So an agreement is only
    significant if the two are ten times closer to each other than to the next round number.
    """
    pairs = (
        (one.circulating_supply, other.circulating_supply),
        (one.total_supply, other.total_supply),
        (one.max_supply, other.max_supply),
    )
    accords = []
    for mine, its in pairs:
        accord = _compare(mine, its, SUPPLIES_AGREE_WITHIN, SUPPLIES_DIFFER_BEYOND)
        if (
            accord == "agree"
            and mine is not None
            and its is not None
            and _is_significant(mine, its)
        ):
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


def _is_significant(one: Decimal, other: Decimal) -> bool:
    apart = abs(_EXACT.subtract(one, other))
    from_round = min(abs(_EXACT.subtract(supply, _ROUND.plus(supply))) for supply in (one, other))
    return _EXACT.multiply(apart, Decimal(10)) < from_round
