"""Refuse a file that contradicts its declaration or itself.

Two rows of one coin at one instant must not differ, and a dollar stablecoin must cost about a
dollar. `guards.py` compares constants with columns.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from shared.errors import SourceError
from shared.model.records import VALUES, Observation
from worker.sources.csv.cells.headers import STABLECOINS, is_dollars
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.pair_questions import find_replaced_pairs
from worker.sources.csv.schema import observe_row

_PEGGED = {"usdt": ("tether",), "usdc": ("usd coin", "usdc", "usd-coin")}
"""Stablecoins that have always cost about a dollar: symbol, and the beginnings of their names."""
_ABOUT_A_DOLLAR = (Decimal("0.5"), Decimal(2))


def require_dollar_quotes(first: FirstRows) -> None:
    """Refuse a file with trading pairs in another currency in a column that a constant replaces.

    A stablecoin is a question instead.

    Raises:
        SourceError: `declaration`.
    """
    dollars = frozenset(STABLECOINS)
    for header, pairs in find_replaced_pairs(first):
        foreign = next((each for each in pairs if not is_dollars(each.quote, dollars)), None)
        if foreign:
            raise SourceError(
                f"{header!r} has trading pairs such as {foreign.base}/{foreign.quote}, and only US "
                "dollars are read",
                code="declaration",
            )


def require_one_value(documents: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Refuse a file if at least half of its first rows have another value at the same instant.

    A smaller number of such rows is stored, and reported by the run. Unreadable rows are ignored.

    Raises:
        SourceError: `differing_rows`; `declaration`, if a stablecoin does not cost about a dollar.
    """
    at_instant: dict[tuple[str, Any], dict[tuple[Any, ...], int]] = defaultdict(dict)
    readable = 0
    for line, document in documents:
        try:
            observation = observe_row(document)
        except ValidationError:
            continue
        readable += 1
        _require_peg(observation, line)
        values = tuple(getattr(observation, field) for field in VALUES)
        key = observation.external_id, observation.observed_at
        at_instant[key].setdefault(values, line)
    differing = {key: found for key, found in at_instant.items() if len(found) > 1}
    if differing and 2 * sum(map(len, differing.values())) >= readable:
        (external_id, observed_at), found = next(iter(differing.items()))
        (one, first), (other, second) = list(found.items())[:2]
        field = next(i for i, _ in enumerate(VALUES) if one[i] != other[i])
        raise SourceError(
            f"lines {first} and {second} have different values of {external_id!r} at "
            f"{observed_at:%Y-%m-%d %H:%M:%SZ}: {VALUES[field]} {one[field]} and {other[field]}. "
            "Declare the column of their time, or another column that tells them apart",
            code="differing_rows",
        )


def _require_peg(observation: Observation, line: int) -> None:
    """Refuse a stablecoin that does not cost about a dollar: the currency is not the dollar."""
    beginnings = _PEGGED.get(observation.symbol.lower(), ())
    is_coin = observation.name.lower().startswith(beginnings) if beginnings else False
    least, most = _ABOUT_A_DOLLAR
    price = observation.price_usd
    if is_coin and price is not None and not least <= price <= most:
        raise SourceError(
            f"line {line}: {observation.name} costs {price}, so the prices of this file cannot "
            "be in US dollars, and no other currency is read",
            code="declaration",
        )
