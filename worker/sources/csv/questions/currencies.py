"""In which currency a file's figures are, where its headers do not say: what hints at it, and asks.

Only US dollars are read. They are suggested where the file's own cells or headers name them, and
nothing names another currency.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from worker.sources.csv.cells.columns import (
    Question,
    count_as_dollars,
    foreign_columns,
    listed,
    stablecoins_of,
    toml_line,
)
from worker.sources.csv.cells.names import (
    CURRENCY_SIGN,
    DOLLAR,
    FIAT,
    IN_SOME_CURRENCY,
    QUOTE_COINS,
    STABLECOINS,
    VOLUMES,
    currency_of,
    is_dollars,
    plain,
)
from worker.sources.csv.cells.pairs import read_pair
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.currency_columns import suggest_currency_column

_WORD = re.compile(r"[A-Za-z0-9]+")
_WRITE_DOLLAR = f'"{DOLLAR}"'


def ask_currency(
    first: FirstRows, found: Mapping[str, str], *, is_price_open: bool
) -> list[Question]:
    """Ask for the currency of the columns that do not name theirs.

    `found` are the columns that are read or suggested. A bare `Volume` is asked about as dollars.
    """
    if "currency" in first.declared or "currency" in found:
        return []
    named = first.declared.get("columns", {})
    unclear = [
        found[field]
        for field in IN_SOME_CURRENCY
        if field in found
        and currency_of(found[field]) is None
        and not (field == "volume_24h_usd" and (field in named or plain(found[field]) in VOLUMES))
    ]
    if not unclear and not is_price_open:
        return []
    if column := suggest_currency_column(first):
        return [column]
    verb = "does" if len(unclear) == 1 else "do"
    said = f"{listed(unclear)} {verb} not say, and no other is read" if unclear else ""
    if other := next(_find_other(first), None):
        why = f"{other}, and only US dollars are read; {_WRITE_DOLLAR} if these are in dollars"
        return [Question(None, "currency", "", f"{why}: {said}" if said else why)]
    if dollars := next(_find_dollars(first, unclear), None):
        return [Question(None, "currency", DOLLAR, f"{dollars}; {said}" if said else dollars)]
    why = f"{_WRITE_DOLLAR} if that is what it is: {said or 'no other is read'}"
    return [Question(None, "currency", "", why)]


def _find_other(first: FirstRows) -> Iterator[str]:
    """Say what names another currency than the dollar: a cell, a header, the file's name."""
    for header in first.headers:
        for cell in first.cells(header):
            sign = CURRENCY_SIGN.search(cell)
            if (sign and sign[0] != "$") or cell.strip().upper() in FIAT:
                yield f"{header!r} has {cell[:80]!r}"
                break
    for header in first.headers:
        currency = currency_of(header)
        if currency not in {None, DOLLAR, *QUOTE_COINS}:
            yield f"the header {header!r} names {currency}"
    currency = _currency_of_name(first.name)
    if currency not in {None, DOLLAR}:
        yield f"the file's name {first.name!r} names {currency}"


def _find_dollars(first: FirstRows, unclear: Sequence[str]) -> Iterator[str]:
    for header in unclear:
        signed = next((cell for cell in first.cells(header) if "$" in cell), None)
        if signed:
            yield f"as {header!r} has {signed[:80]!r}"
    for header in first.headers:
        if currency_of(header) == DOLLAR:
            yield f"as the header {header!r} names dollars"


def _currency_of_name(name: str) -> str | None:
    """Find the currency that a file's name has, as a word or as the quote of a pair in capitals."""
    words: list[str] = _WORD.findall(name.partition(".")[0])
    for word in words:
        if word.upper() in (*FIAT, DOLLAR, *STABLECOINS):
            return word.upper()
        pair = read_pair(word) if word.isupper() else None
        if pair is not None and pair.quote not in QUOTE_COINS:
            return pair.quote
    return None


def ask_of_currency_column(first: FirstRows) -> list[Question]:
    """Ask about a column called a currency in which no row names dollars."""
    header = first.columns.headers.get("currency")
    if header is None or "currency" in first.declared.get("columns", {}):
        return []
    cells = first.cells(header)
    if not cells or any(is_dollars(cell, first.as_usd) for cell in cells):
        return []
    if coins := [cell.strip().upper() for cell in cells if cell.strip().upper() in STABLECOINS]:
        return [
            count_as_dollars(dict.fromkeys(coins), f"{header!r} has {cells[0]!r}", first.as_usd)
        ]
    if cells[0].strip().upper() in FIAT:
        why = f"{header!r} has {cells[0]!r}, and only US dollars are read"
        return [Question("columns", "currency", "", why)]
    if not {"symbol", "id"} & {*first.columns.headers, *first.declared.get("values", {})}:
        return [Question("columns", "symbol", header, f"if it names the coin: it has {cells[0]!r}")]
    column = toml_line("currency", header, "columns")
    why = f"{header!r} has {cells[0]!r}; only if it is the currency of the row, write {column}"
    return [Question(None, "ignore", [*first.ignored, header], why)]


def ask_of_stablecoins(first: FirstRows, found: Mapping[str, str]) -> list[Question]:
    foreign = foreign_columns(found, first.declared)
    coins = stablecoins_of(foreign)
    if not coins:
        return []
    why = f"{listed([each[1] for each in foreign])} is in {coins[0]}"
    return [count_as_dollars(coins, why, first.as_usd)]
