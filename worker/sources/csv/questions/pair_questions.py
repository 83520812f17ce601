"""What is asked where the symbols of a file are trading pairs, or look like futures."""

from collections.abc import Sequence

from worker.sources.csv.cells.columns import Question, count_as_dollars, listed
from worker.sources.csv.cells.names import STABLECOINS, is_dollars
from worker.sources.csv.cells.pairs import (
    are_pairs,
    is_certain_pair,
    is_unclear_pair,
    names_future,
    read_pair,
)
from worker.sources.csv.first_rows import FirstRows


def ask_of_pairs(
    header: str | None, first: FirstRows, settled: list[str]
) -> tuple[bool, list[Question]]:
    """Tell trading pairs from symbols; ask where their coin, or the currency, is in doubt."""
    symbols = first.cells(header) if header else []
    if "pair_symbols" in first.declared:
        return False, []
    if not are_pairs(symbols):
        return False, _ask_of_some(header, symbols)
    quotes = dict.fromkeys(pair.quote for each in symbols if (pair := read_pair(each)))
    questions = _ask_what_is_priced(header, symbols)
    if any(is_dollars(quote, first.as_usd) for quote in quotes):
        if not questions:
            settled.append(f"{header!r} holds trading pairs; the coin of {symbols[0]!r} is read")
        return not questions, questions
    if coins := [quote for quote in quotes if quote in STABLECOINS]:
        why = f"{header!r} has {symbols[0]!r}"
        return False, [*questions, count_as_dollars(coins, why, first.as_usd)]
    why = (
        f"false if {symbols[0]!r} is a coin's own symbol; as a trading pair it is priced in "
        f"{listed(list(quotes))}, and only US dollars are read"
    )
    return False, [Question(None, "pair_symbols", "", why)]


def _ask_of_some(header: str | None, symbols: Sequence[str]) -> list[Question]:
    """Ask about pairs among other symbols. To refuse the others is safe, and so suggested."""
    if future := next(filter(names_future, symbols), None):
        why = (
            f"{header!r} has {future!r}, which names a future or a perpetual: its price is not the "
            "coin's; false if it is a coin's own symbol, true if every symbol is a trading pair"
        )
        return [Question(None, "pair_symbols", "", why)]
    if pair := next(filter(is_certain_pair, symbols), None):
        why = f"{header!r} has {pair!r} among other symbols; with true, those are refused"
        return [Question(None, "pair_symbols", True, why)]
    return []


def _ask_what_is_priced(header: str | None, symbols: Sequence[str]) -> list[Question]:
    """Ask about pairs whose price is not the coin's, or whose coin can be one of two."""
    if future := next(filter(names_future, symbols), None):
        why = (
            f"true if the price of a future or a perpetual is to count as the coin's: {header!r} "
            f"has {future!r}"
        )
        return [Question(None, "pair_symbols", "", why)]
    if unclear := next(filter(is_unclear_pair, symbols), None):
        pair = read_pair(unclear)
        coin = pair.base if pair else unclear
        why = (
            f"true if {unclear!r} under {header!r} is {coin!r} in US dollars; its last letters may "
            "also name a stablecoin"
        )
        return [Question(None, "pair_symbols", "", why)]
    return []
