"""Refuse files without a price in US dollars.

No declaration can make such a file readable, so questions about it would never end.
"""

from collections.abc import Sequence

from shared.errors import SourceError
from shared.model.records import VALUES
from worker.sources.csv.cells.columns import Question, foreign_columns, quoted_list, toml_line
from worker.sources.csv.cells.headers import (
    CURRENCY_SIGN,
    DOLLAR,
    STABLECOINS,
    currency_in_cell,
    currency_in_header,
    is_dollars,
)
from worker.sources.csv.cells.numbers import can_be_number
from worker.sources.csv.cells.pairs import is_certain_pair, is_future, read_pair
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.currency_columns import find_currency_columns
from worker.sources.csv.questions.suggestions import find_prices

NO_DOLLARS = "this file has no price in US dollars and cannot be imported as it is"
_HELP = "export it with prices in US dollars, or declare the column with them ([columns] price_usd)"


def require_dollars(first: FirstRows) -> None:
    """Refuse a money column whose header names another currency.

    Raises:
        SourceError: `declaration`.
    """
    for field, header, currency in foreign_columns(first.columns.headers, first.declared):
        if currency in STABLECOINS:
            continue
        why = f"{field}: the header {header!r} names {currency}, and only US dollars are read"
        if field == "price_usd":
            others = [each for each in find_prices(first)[0] if each != header]
            advice = (
                f"the price may be {quoted_list(others)}" if others else f"{NO_DOLLARS}; {_HELP}"
            )
        else:
            advice = f"declare a column in US dollars, or remove {field} from [columns]"
        raise SourceError(f"{why}; {advice}", code="declaration")


def require_some_dollars(first: FirstRows, questions: Sequence[Question]) -> None:
    """Refuse a file with open questions if no answer leads to a price in dollars.

    Raises:
        SourceError: `declaration`.
    """
    asked = {each.key: each for each in questions}
    why = None
    if "price_usd" in asked:
        why = _foreign_price(first)
    if "currency" in asked or "currency" in first.columns.headers:
        why = why or _foreign_rows(first)
    if "pair_symbols" in asked:
        why = why or _foreign_pairs(first)
    if why is not None:
        raise SourceError(f"{NO_DOLLARS}: {why}. To read it, {_HELP}", code="declaration")


def _foreign_price(first: FirstRows) -> str | None:
    """Describe the price's currency if its header or sign names one and no other column may be it.

    None if a value in dollars can be read without the price.
    """
    likely, possible, foreign = find_prices(first)
    read = {field: header for field, header in first.columns.headers.items() if field in VALUES}
    header = read.pop("price_usd", None)
    if likely or possible or "price_usd" in first.declared.get("columns", {}):
        return None
    if "price_usd" in first.columns.choices or any(map(_is_in_dollars, read.values())):
        return None
    if header is None:
        named = [f"{each!r} names {currency_in_header(each)}" for each in foreign]
        return f"{', '.join(named)}, and only US dollars are read" if named else None
    cell = next(iter(first.value_cells(header)), "")
    sign = CURRENCY_SIGN.search(cell)
    if sign is None or sign[0] == "$" or any(map(can_be_number, first.value_cells(header))):
        return None
    return f"{header!r} has {cell[:80]!r}, and only US dollars are read"


def _foreign_rows(first: FirstRows) -> str | None:
    """Describe the currency column if none of the first rows is in dollars."""
    price = first.columns.headers.get("price_usd")
    if "currency" in first.declared.get("columns", {}) or (price and _is_in_dollars(price)):
        return None
    read = first.columns.headers.get("currency")
    for header in [read] if read else find_currency_columns(first):
        cells = first.value_cells(header)
        named = [currency_in_cell(cell) for cell in cells]
        if not cells or any(each in {None, DOLLAR, *STABLECOINS} for each in named):
            continue
        return (
            f"{header!r} has {cells[0][:80]!r}, and none of its first {len(cells)} rows is in US "
            f"dollars; if later rows are, write {toml_line('currency', header, 'columns')}, or "
            f"{first.ignore_line(header)} if it is not the currency of the prices"
        )
    return None


def _foreign_pairs(first: FirstRows) -> str | None:
    """Describe the trading pairs if none of the first ones is priced in dollars."""
    header = first.columns.headers.get("symbol")
    symbols = first.cells(header) if header else []
    pairs = [read_pair(each) for each in symbols if is_certain_pair(each)]
    if not symbols or len(pairs) < len(symbols) or any(map(is_future, symbols)):
        return None
    quotes = list(dict.fromkeys(pair.quote for pair in pairs if pair))
    if len(quotes) == 0 or any(is_dollars(each) or each in STABLECOINS for each in quotes):
        return None
    return (
        f"{header!r} has {symbols[0]!r}, and its first rows are priced in {quoted_list(quotes)}; "
        "if later rows are in US dollars, write pair_symbols = true"
    )


def _is_in_dollars(header: str) -> bool:
    return currency_in_header(header) == DOLLAR
