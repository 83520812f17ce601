"""Ask for the currency of a file whose headers do not name it.

Only US dollars are read. They are suggested if a cell or a header names them, and nothing names
another currency.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from worker.sources.csv.cells.columns import (
    Question,
    ask_as_usd,
    find_stablecoins,
    foreign_columns,
    quoted_list,
    toml_line,
)
from worker.sources.csv.cells.headers import (
    CURRENCY_SIGN,
    DOLLAR,
    FIAT,
    MONEY_HEADERS,
    QUOTE_COINS,
    STABLECOINS,
    VOLUME_HEADERS,
    currency_in_header,
    is_dollars,
    normalise_header,
)
from worker.sources.csv.cells.pairs import as_usd_hint, read_pair
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.currency_columns import suggest_currency_column

_WORD = re.compile(r"[A-Za-z0-9]+")
_QUOTED_DOLLAR = f'"{DOLLAR}"'
_ONLY_DOLLARS = "and only US dollars are read"


def ask_currency(
    first: FirstRows, found: Mapping[str, str], *, is_price_open: bool
) -> list[Question]:
    """Ask for the currency of columns that do not name it.

    A declared stablecoin (`as_usd`) in the file name answers the question.

    `found` maps fields to columns that are read or suggested. A bare `Volume` is not included: its
    own question is about dollars.
    """
    if "currency" in first.declared or "currency" in found:
        return []
    named = first.declared.get("columns", {})
    unnamed = [
        found[field]
        for field in MONEY_HEADERS
        if field in found
        and currency_in_header(found[field]) is None
        and not (
            field == "volume_24h_usd"
            and (field in named or normalise_header(found[field]) in VOLUME_HEADERS)
        )
    ]
    if not unnamed and not is_price_open:
        return []
    if column := suggest_currency_column(first):
        return [column]
    verb = "does" if len(unnamed) == 1 else "do"
    gap = f"{quoted_list(unnamed)} {verb} not name a currency" if unnamed else ""
    if other := next(_find_other(first), None):
        why = f"{other}; write {_QUOTED_DOLLAR} if prices are in US dollars"
        return [Question(None, "currency", "", f"{why}: {gap}" if gap else why)]
    if _currency_of_name(first.name) in first.as_usd:
        return []
    dollars = next(_find_dollars(first, unnamed), None)
    advice = f"write {_QUOTED_DOLLAR} if prices are in US dollars, the only currency that is read"
    reasons = [dollars, gap] if dollars else [gap, advice]
    why = "; ".join(each for each in reasons if each)
    return [Question(None, "currency", DOLLAR if dollars else "", why)]


def _find_other(first: FirstRows) -> Iterator[str]:
    """Describe cells, headers and a file name that name a currency other than the dollar."""
    for header in first.headers:
        for cell in first.cells(header):
            sign = CURRENCY_SIGN.search(cell)
            if (sign and sign[0] != "$") or cell.strip().upper() in FIAT:
                yield f"{header!r} has {cell[:80]!r}, {_ONLY_DOLLARS}"
                break
    for header in first.headers:
        currency = currency_in_header(header)
        if currency not in {None, DOLLAR, *first.as_usd, *QUOTE_COINS}:
            yield f"the header {header!r} names {currency}, {_ONLY_DOLLARS}"
    currency = _currency_of_name(first.name)
    if currency is not None and currency not in {DOLLAR, *first.as_usd}:
        named = f"the file name {first.name!r} names {currency}"
        yield f"{named}, {_ONLY_DOLLARS}{as_usd_hint(currency)}"


def _find_dollars(first: FirstRows, unnamed: Sequence[str]) -> Iterator[str]:
    for header in unnamed:
        signed = next((cell for cell in first.cells(header) if "$" in cell), None)
        if signed:
            yield f"suggested because {header!r} has {signed[:80]!r}"
    for header in first.headers:
        currency = currency_in_header(header)
        if currency in {DOLLAR, *first.as_usd}:
            named = "dollars" if currency == DOLLAR else currency
            yield f"suggested because the header {header!r} names {named}"


def _currency_of_name(name: str) -> str | None:
    """Return the currency in a file name, as a word or as the quote of a pair in capitals."""
    words: list[str] = _WORD.findall(name.partition(".")[0])
    for word in words:
        if word.upper() in (*FIAT, DOLLAR, *STABLECOINS):
            return word.upper()
        pair = read_pair(word) if word.isupper() else None
        if pair is not None and pair.quote not in QUOTE_COINS:
            return pair.quote
    return None


def ask_about_currency_column(first: FirstRows) -> list[Question]:
    """Ask about a currency column in which no row names dollars."""
    header = first.columns.headers.get("currency")
    if header is None or "currency" in first.declared.get("columns", {}):
        return []
    cells = first.cells(header)
    if not cells or any(is_dollars(cell, first.as_usd) for cell in cells):
        return []
    if coins := [cell.strip().upper() for cell in cells if cell.strip().upper() in STABLECOINS]:
        return [ask_as_usd(dict.fromkeys(coins), f"{header!r} has {cells[0]!r}", first.as_usd)]
    if cells[0].strip().upper() in FIAT:
        why = f"{header!r} has {cells[0]!r}, and only US dollars are read"
        return [Question("columns", "currency", "", why)]
    if not {"symbol", "id"} & {*first.columns.headers, *first.declared.get("values", {})}:
        why = f"if this column names the coin: it has {cells[0]!r}"
        return [Question("columns", "symbol", header, why)]
    column = toml_line("currency", header, "columns")
    why = f"{header!r} has {cells[0]!r}; if this is the currency of each row, write {column}"
    return [Question(None, "ignore", [*first.ignored, header], why)]


def ask_about_stablecoins(first: FirstRows, found: Mapping[str, str]) -> list[Question]:
    foreign = foreign_columns(found, first.declared)
    coins = find_stablecoins(foreign)
    if not coins:
        return []
    why = f"{quoted_list([each[1] for each in foreign])} is in {coins[0]}"
    return [ask_as_usd(coins, why, first.as_usd)]
