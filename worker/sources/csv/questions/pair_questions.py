"""Ask about symbols that are trading pairs, or that look like futures."""

from collections.abc import Iterator, Sequence

from worker.sources.csv.cells.columns import Question, ask_as_usd, quoted_list
from worker.sources.csv.cells.headers import (
    OTHER_HEADERS,
    STABLECOINS,
    is_dollars,
    normalise_header,
)
from worker.sources.csv.cells.pairs import (
    Pair,
    are_pairs,
    is_ambiguous_pair,
    is_certain_pair,
    is_future,
    read_pair,
)
from worker.sources.csv.first_rows import FirstRows


def ask_about_pairs(
    header: str | None, first: FirstRows, described: list[str]
) -> tuple[bool, list[Question]]:
    """Detect trading pairs; ask if their coin or their currency is uncertain."""
    symbols = first.cells(header) if header else []
    if "pair_symbols" in first.declared:
        return False, []
    if not are_pairs(symbols):
        return False, _ask_about_mixed_symbols(header, symbols)
    quotes = dict.fromkeys(pair.quote for each in symbols if (pair := read_pair(each)))
    questions = _ask_about_uncertain_pairs(header, symbols)
    if any(is_dollars(quote, first.as_usd) for quote in quotes):
        if not questions:
            described.append(f"{header!r} holds trading pairs; the coin of {symbols[0]!r} is read")
        return not questions, questions
    if coins := [quote for quote in quotes if quote in STABLECOINS]:
        why = f"{header!r} has {symbols[0]!r}"
        return False, [*questions, ask_as_usd(coins, why, first.as_usd)]
    why = (
        f"false if {symbols[0]!r} is the symbol of a coin; as a trading pair it is priced in "
        f"{quoted_list(list(quotes))}, and only US dollars are read"
    )
    return False, [Question(None, "pair_symbols", "", why)]


def ask_about_replaced_pairs(first: FirstRows) -> tuple[bool, list[Question]]:
    """Return whether a constant symbol replaces pairs, and ask about their stablecoins."""
    replaced = list(find_replaced_pairs(first))
    for header, pairs in replaced:
        quotes = dict.fromkeys(each.quote for each in pairs if each.quote in STABLECOINS)
        if coins := [each for each in quotes if each not in first.as_usd]:
            why = f"{header!r} has {first.cells(header)[0]!r}"
            return True, [ask_as_usd(coins, why, first.as_usd)]
    return bool(replaced), []


def find_replaced_pairs(first: FirstRows) -> Iterator[tuple[str, Sequence[Pair]]]:
    """Yield columns of trading pairs that are not read, because the symbol is a constant."""
    constant = first.declared.get("values", {}).get("symbol")
    if constant is None or first.declared.get("pair_symbols") is False:
        return
    for header in first.headers:
        cells = first.cells(header)
        pairs = [pair for each in cells if (pair := read_pair(each))]
        if not pairs or len(pairs) < len(cells):
            continue
        is_of_coin = header not in first.ignored and all(
            pair.base.lower() == constant.lower() for pair in pairs
        )
        if is_of_coin or normalise_header(header) in OTHER_HEADERS["symbol"]:
            yield header, pairs


def _ask_about_mixed_symbols(header: str | None, symbols: Sequence[str]) -> list[Question]:
    """Ask about pairs among other symbols; the suggestion is to refuse the others."""
    if future := next(filter(is_future, symbols), None):
        why = (
            f"{header!r} has {future!r}, which names a future or a perpetual: its price is not the "
            "coin's; write false if it is the symbol of a coin, true if every symbol is a pair"
        )
        return [Question(None, "pair_symbols", "", why)]
    if pair := next(filter(is_certain_pair, symbols), None):
        why = f"{header!r} has {pair!r} among other symbols; with true, the others are refused"
        return [Question(None, "pair_symbols", True, why)]
    return []


def _ask_about_uncertain_pairs(header: str | None, symbols: Sequence[str]) -> list[Question]:
    """Ask about futures, whose price is not the coin's, and about ambiguous pairs."""
    if future := next(filter(is_future, symbols), None):
        why = (
            f"true to count the price of a future or a perpetual as the coin's: {header!r} "
            f"has {future!r}"
        )
        return [Question(None, "pair_symbols", "", why)]
    if unclear := next(filter(is_ambiguous_pair, symbols), None):
        pair = read_pair(unclear)
        coin = pair.base if pair else unclear
        why = (
            f"true if {unclear!r} under {header!r} is {coin!r} in US dollars; its last letters may "
            "also name a stablecoin"
        )
        return [Question(None, "pair_symbols", "", why)]
    return []
