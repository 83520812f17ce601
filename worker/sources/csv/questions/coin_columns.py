"""Find columns that may name coins by their cells, under a header that is not known.

A constant symbol, name or id says that a file is about one coin. Such a column may contradict it.
Where neither a header nor a constant names the coin, such a column is suggested. No column is
suggested as symbol and as name, and a trading pair is never a name: `BTCUSDT` is no asset.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from worker.sources.csv.cells.columns import Question, toml_line
from worker.sources.csv.cells.headers import OTHER_HEADERS, is_known_header, normalise_header
from worker.sources.csv.cells.numbers import can_be_number
from worker.sources.csv.cells.pairs import is_probable_pair, read_pair
from worker.sources.csv.cells.times import MONTHS, TimeParser, is_day_or_month_first
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.currency_columns import is_currency_column

COIN_FIELDS = ("symbol", "name", "id")
"""The fields that identify a coin."""

_NOT_COIN_HEADERS = frozenset(
    {
        *("exchange", "exchangename", "venue", "source", "provider", "platform", "network"),
        *("chain", "blockchain", "algorithm", "category", "categories", "sector", "type", "kind"),
        *("side", "direction", "status", "state", "flag", "trend", "signal", "sentiment", "mood"),
        *("note", "notes", "comment", "comments", "remark", "remarks", "description", "label"),
        *("url", "link", "website", "image", "logo", "tag", "tags", "country", "region"),
        *("day", "weekday", "dayofweek", "month", "quarter", "season", "timezone", "zone"),
        *("interval", "timeframe", "period", "resolution", "frequency", "unit", "units"),
    }
)
"""Headers of texts that do not name coins, unless a cell proves otherwise."""

_FLAGS = frozenset(
    {
        *("true", "false", "yes", "no", "y", "n", "on", "off", "buy", "sell", "bid", "ask"),
        *("open", "closed", "close", "up", "down", "high", "low", "final", "partial"),
    }
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LONGEST = 30
_MOST_WORDS = 4
_SHORTEST_OF_CALENDAR = 3
_MEASURE = re.compile(r"[+-]?[\d.,]+\s")
_LONGEST_LOWER_CASE_SYMBOL = 5


def find_coin_columns(first: FirstRows) -> list[str]:
    """Return the unread columns whose cells name coins, or look as if they did."""
    constants = first.declared.get("values", {})
    declared = {coin_name(constants[field]) for field in COIN_FIELDS if field in constants}
    return [
        header
        for header in first.unread()
        if not is_known_header(header)
        and (
            any(_is_declared_coin_or_pair(cell, declared) for cell in first.cells(header))
            or (
                normalise_header(header) not in _NOT_COIN_HEADERS
                and not is_currency_column(header, first.cells(header))
                and _may_name_coins([row[header] for row in first.rows])
            )
        )
    ]


def coin_name(cell: str) -> str:
    """Normalise a name for comparison; a trading pair is reduced to its coin."""
    pair = read_pair(cell)
    return (pair.base if pair else cell.strip()).lower()


def _is_declared_coin_or_pair(cell: str, declared: Collection[str]) -> bool:
    """Whether a cell is the declared coin, or a trading pair."""
    if can_be_number(cell):  # a rank may equal a declared numeric id
        return False
    return coin_name(cell) in declared or is_probable_pair(cell)


def is_coin_header(header: str) -> bool:
    """Whether a header is known as that of symbols or names."""
    return any(normalise_header(header) in OTHER_HEADERS[field] for field in ("symbol", "name"))


def _may_name_coins(cells: Sequence[str]) -> bool:
    """Whether most rows have a cell, and most cells may name coins."""
    filled = [cell for cell in cells if cell.strip()]
    return 2 * len(filled) > len(cells) and 2 * sum(map(_may_name_coin, filled)) > len(filled)


def _may_name_coin(cell: str) -> bool:
    text = cell.strip()
    word = text.lower()
    if len(text) > _LONGEST or len(text.split()) > _MOST_WORDS or "://" in text:
        return False
    if sum(map(str.isalpha, text)) <= sum(map(str.isdigit, text)) or _MEASURE.match(text):
        return False
    if can_be_number(text) or TimeParser().can_parse(text) or is_day_or_month_first(text):
        return False
    is_of_calendar = len(word) >= _SHORTEST_OF_CALENDAR and any(
        each.startswith(word) for each in (*_DAYS, *MONTHS)
    )
    return word not in _FLAGS and not is_of_calendar


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
