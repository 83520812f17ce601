"""Where a file contradicts its declaration, or itself: such a file is refused.

Two rows of one coin at one instant must not differ, and a dollar must be a dollar. What a constant
must not hide is in `guards.py`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from shared.errors import SourceError
from shared.model.records import VALUES, Observation
from worker.sources.csv.cells.names import WITHOUT_CURRENCY, is_dollars, plain
from worker.sources.csv.cells.pairs import as_usd_hint, read_pair
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.schema import observe_row

_PEGGED = {"usdt": ("tether",), "usdc": ("usd coin", "usdc", "usd-coin")}
"""Coins that have always cost about a dollar, by symbol, and how their names begin."""
_ABOUT_A_DOLLAR = (Decimal("0.5"), Decimal(2))


def require_quotes_in_dollars(first: FirstRows) -> None:
    """Refuse a file whose trading pairs, in a column that is not read, are priced in no dollars.

    Raises:
        SourceError: `declaration`.
    """
    declared = first.declared
    if declared.get("pair_symbols") is False or "symbol" not in declared.get("values", {}):
        return
    said = declared["values"]["symbol"].lower()
    for header in first.headers:
        pairs = [read_pair(cell) for cell in first.cells(header)]
        if not pairs or not all(pairs):
            continue
        is_of_coin = header not in first.ignored and all(
            pair and pair.base.lower() == said for pair in pairs
        )
        if plain(header) not in WITHOUT_CURRENCY["symbol"] and not is_of_coin:
            continue
        foreign = next((p for p in pairs if p and not is_dollars(p.quote, first.as_usd)), None)
        if foreign:
            raise SourceError(
                f"{header!r} has trading pairs such as {foreign.base}/{foreign.quote}, and only US "
                f"dollars are read{as_usd_hint(foreign.quote)}",
                code="declaration",
            )


def require_one_value(documents: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Refuse a file in whose first rows one coin has several values at one instant.

    A few such rows among others are left to the run, which reports them. Rows that cannot be read
    are left to the run as well.

    Raises:
        SourceError: `differing_rows`; `declaration`, where a dollar coin costs no dollar.
    """
    at_instant: dict[tuple[str, Any], dict[tuple[Any, ...], int]] = defaultdict(dict)
    readable = 0
    for line, document in documents:
        try:
            said = observe_row(document)
        except ValidationError:
            continue
        readable += 1
        _require_peg(said, line)
        values = tuple(getattr(said, field) for field in VALUES)
        at_instant[said.external_id, said.observed_at].setdefault(values, line)
    differing = {key: found for key, found in at_instant.items() if len(found) > 1}
    if differing and 2 * sum(map(len, differing.values())) >= readable:
        (external_id, observed_at), found = next(iter(differing.items()))
        (one, first), (other, second) = list(found.items())[:2]
        field = next(i for i, _ in enumerate(VALUES) if one[i] != other[i])
        raise SourceError(
            f"lines {first} and {second} differ, though both are of {external_id!r} at "
            f"{observed_at:%Y-%m-%d %H:%M:%SZ}: {VALUES[field]} {one[field]} and {other[field]}. "
            "Declare the column that has their time, or what else tells them apart",
            code="differing_rows",
        )


def _require_peg(said: Observation, line: int) -> None:
    """Take a dollar coin that costs no dollar for a sign of another currency."""
    begins = _PEGGED.get(said.symbol.lower(), ())
    is_coin = said.name.lower().startswith(begins) if begins else False
    least, most = _ABOUT_A_DOLLAR
    if is_coin and said.price_usd is not None and not least <= said.price_usd <= most:
        raise SourceError(
            f"line {line}: {said.name} costs {said.price_usd}, so the prices of this file cannot "
            "be in US dollars, and no other currency is read",
            code="declaration",
        )
