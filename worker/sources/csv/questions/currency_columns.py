"""Find columns whose cells are currencies, under any header: `quote`, `unit`, `Währung`.

Such a column has the currency of each row. It must be read or ignored, even if a declared
`currency` or a header says that prices are in dollars.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from worker.sources.csv.cells.columns import Question, ask_as_usd
from worker.sources.csv.cells.headers import (
    DOLLAR,
    QUOTE_COINS,
    STABLECOINS,
    currency_in_cell,
    header_words,
    is_dollars,
    is_known_header,
)
from worker.sources.csv.cells.numbers import is_unknown
from worker.sources.csv.first_rows import FirstRows

_CURRENCY_WORDS = frozenset(
    {
        *("currency", "curr", "cur", "ccy", "quote", "quoted", "unit", "units", "denomination"),
        *("denom", "priced", "counter", "vs", "base", "fiat", "money", "market"),
        *("währung", "moneda", "moeda", "devise", "valuta", "waluta", "měna", "döviz", "валюта"),
    }
)
"""Header words with which quote coins count as currencies too."""


class CurrencyGuard(NamedTuple):
    """A column of currencies that is not read as such; it rejects rows in another currency.

    A column that was empty in the first rows may also hold other texts.
    """

    header: str
    as_usd: frozenset[str]
    was_empty: bool
    ignore: str
    """The declaration with which the column is ignored."""

    def defect(self, cells: Mapping[str, str]) -> str | None:
        cell = cells[self.header]
        if is_unknown(cell) or is_dollars(cell, self.as_usd):
            return None
        if self.was_empty and currency_in_cell(cell) is None:
            return None
        return (
            f"{self.header}: {cell[:80]!r} is another currency, and only US dollars are read; "
            f"{self.ignore} if the column is not the currency of the prices"
        )


def find_currency_columns(first: FirstRows) -> list[str]:
    """Return the unread columns in which most cells are currencies."""
    return [
        header
        for header in first.unread()
        if not is_known_header(header) and is_currency_column(header, first.cells(header))
    ]


def is_currency_column(header: str, cells: Sequence[str]) -> bool:
    """Whether most cells are currencies; coins alone count only with a matching header."""
    found = [currency_in_cell(cell) for cell in cells]
    named = [each for each in found if each is not None and each not in QUOTE_COINS]
    if not _CURRENCY_WORDS.isdisjoint(header_words(header)):
        named = [each for each in found if each is not None]
        is_clear = any(each not in QUOTE_COINS for each in named)
    else:
        is_clear = any(each not in STABLECOINS for each in named)
    return is_clear and 2 * len(named) > len(cells)


def ask_about_hidden_currency(first: FirstRows) -> list[Question]:
    """Suggest to read a column that names a currency other than the dollar."""
    if "currency" in first.columns.headers or "currency" in first.columns.choices:
        return []
    if "currency" in first.declared.get("columns", {}):
        return []
    for header in find_currency_columns(first):
        cells = first.value_cells(header)
        others = [cell for cell in cells if not is_dollars(cell, first.as_usd)]
        if not others:
            continue
        coins = {cell.strip().upper(): None for cell in others} if others == cells else {}
        asked = [coin for coin in coins if coin in STABLECOINS]
        why = f"{header!r} has {others[0]!r}"
        question = [ask_as_usd(asked, why, first.as_usd)] if asked else []
        return [_suggest(header, others[0], first), *question]
    return []


def suggest_currency_column(first: FirstRows) -> Question | None:
    """Suggest a column with the currency of each row, instead of one for the whole file."""
    found = find_currency_columns(first)
    return _suggest(found[0], first.cells(found[0])[0], first) if found else None


def find_currency_guards(first: FirstRows) -> list[CurrencyGuard]:
    """Return guards for unread columns of currencies, and for columns that are still empty.

    The first cells of the former are all dollars; otherwise a question was asked.
    """
    if "currency" in first.columns.headers:
        return []
    empty = [header for header in first.unread() if not first.cells(header)]
    return [
        CurrencyGuard(header, first.as_usd, was_empty, first.ignore_line(header))
        for was_empty, headers in ((False, find_currency_columns(first)), (True, empty))
        for header in headers
    ]


def _suggest(header: str, cell: str, first: FirstRows) -> Question:
    why = (
        f"{header!r} has {cell[:80]!r}: rows in a currency other than {DOLLAR} are refused; write "
        f"{first.ignore_line(header)} instead if it is not the currency of the prices"
    )
    return Question("columns", "currency", header, why)
