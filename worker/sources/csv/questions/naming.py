"""Suggest columns for the symbol and the name of a coin.

No column is suggested as both, and a trading pair is never a name: `BTCUSDT` is no asset.
"""

from collections.abc import Sequence
from dataclasses import replace

from worker.sources.csv.cells.columns import Question, toml_line
from worker.sources.csv.cells.numbers import can_be_number
from worker.sources.csv.cells.pairs import is_probable_pair
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.coin_columns import COIN_FIELDS, coin_name, find_coin_columns

_LONGEST_LOWER_CASE_SYMBOL = 5


def suggest_naming(question: Question, first: FirstRows) -> Question:
    """If no header is known to name the coin, suggest a column that may.

    A constant is not offered if the file certainly has several coins.
    """
    field = question.key
    if question.table != "values" or field not in {"symbol", "name"}:
        return question
    unread = find_coin_columns(first)
    pairs = [each for each in unread if all(map(is_probable_pair, first.cells(each)))]
    if field == "symbol" and pairs:
        why = f"if this column names the coin: it has {first.cells(pairs[0])[0][:80]!r}"
        return Question("columns", field, pairs[0], why)
    fitting = next((each for each in unread if _fits(field, first.cells(each))), None)
    column = toml_line(field, fitting, "columns") if fitting else None
    read = [first.columns.headers[each] for each in COIN_FIELDS if each in first.columns.headers]
    if several := _find_several_coins([*read, *pairs], first):
        header, coins = several
        why = (
            f"the file has several coins ({header!r} has {coins}); write the header of their "
            f"{field}s, or add such a column to the file"
        )
        return Question("columns", field, "", f"{why}: {column} may be it" if column else why)
    constant = question.why.rpartition("; ")[0]
    if several := _find_several_coins(unread, first):
        header, coins = several
        why = (
            f"{constant} and {first.ignore_line(header)} if {header!r} does not name coins (it has "
            f"{coins}); if it does, write {column or f'a column of {field}s under [columns]'}"
        )
        return replace(question, why=why)
    if fitting:
        cell = first.cells(fitting)[0]
        return replace(question, why=f"{constant}; or write {column}, which has {cell[:80]!r}")
    return question


def _fits(field: str, cells: Sequence[str]) -> bool:
    """Whether most cells look like symbols, or most like names and none like a pair."""
    symbols = sum(map(_may_be_symbol, cells))
    if field == "symbol":
        return 2 * symbols > len(cells)
    return 2 * symbols < len(cells) and not any(map(is_probable_pair, cells))


def _may_be_symbol(cell: str) -> bool:
    text = cell.strip()
    return is_probable_pair(text) or text.isupper() or len(text) <= _LONGEST_LOWER_CASE_SYMBOL


def _find_several_coins(headers: Sequence[str], first: FirstRows) -> tuple[str, str] | None:
    """Return the first column that names two coins, and both; numbers are ids or ranks."""
    for header in headers:
        cells = {coin_name(each): each for each in first.cells(header) if not can_be_number(each)}
        if len(cells) > 1:
            one, other, *_ = cells.values()
            return header, f"{one[:80]!r} and {other[:80]!r}"
    return None
