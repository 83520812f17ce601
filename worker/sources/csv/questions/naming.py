"""Columns that may name coins by what their cells say, under a header that no export is known for.

A constant symbol, name or id says that a file is about one coin. Such a column may say otherwise.
"""

import re
from collections.abc import Collection, Sequence

from worker.sources.csv.cells.names import WITHOUT_CURRENCY, is_known, plain
from worker.sources.csv.cells.numbers import can_be_number
from worker.sources.csv.cells.pairs import is_clear_pair, read_pair
from worker.sources.csv.cells.times import MONTHS, Clock, is_day_or_month_first
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.currency_columns import is_currency_column

NAMING = ("symbol", "name", "id")
"""The fields that name a coin."""

_NOT_NAMING = frozenset(
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
"""Headers of texts that name no coin, unless a cell shows that they do."""

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


def find_naming(first: FirstRows) -> list[str]:
    """Find the unread columns whose cells name coins, or look as if they did."""
    constants = first.declared.get("values", {})
    declared = {name_of(constants[field]) for field in NAMING if field in constants}
    return [
        header
        for header in first.unread()
        if not is_known(header)
        and (
            any(_names_a_coin(cell, declared) for cell in first.cells(header))
            or (
                plain(header) not in _NOT_NAMING
                and not is_currency_column(header, first.cells(header))
                and _may_name_coins([row[header] for row in first.rows])
            )
        )
    ]


def name_of(cell: str) -> str:
    """Reduce a name to what is compared: of a trading pair that is its coin."""
    pair = read_pair(cell)
    return (pair.base if pair else cell.strip()).lower()


def _names_a_coin(cell: str, declared: Collection[str]) -> bool:
    """Tell it for certain: a cell has what is declared of the coin, or a trading pair."""
    if can_be_number(cell):  # a rank, say, where the declared id is a number
        return False
    return name_of(cell) in declared or is_clear_pair(cell)


def is_naming(header: str) -> bool:
    """Tell whether a header is known to be that of symbols or names."""
    return any(plain(header) in WITHOUT_CURRENCY[field] for field in ("symbol", "name"))


def _may_name_coins(cells: Sequence[str]) -> bool:
    """Tell it of a column by most of its cells: which coin a row is of, hardly any leaves out."""
    filled = [cell for cell in cells if cell.strip()]
    return 2 * len(filled) > len(cells) and 2 * sum(map(_may_name_coin, filled)) > len(filled)


def _may_name_coin(cell: str) -> bool:
    text = cell.strip()
    word = text.lower()
    if len(text) > _LONGEST or len(text.split()) > _MOST_WORDS or "://" in text:
        return False
    if sum(map(str.isalpha, text)) <= sum(map(str.isdigit, text)) or _MEASURE.match(text):
        return False
    if can_be_number(text) or Clock().can_read(text) or is_day_or_month_first(text):
        return False
    is_of_calendar = len(word) >= _SHORTEST_OF_CALENDAR and any(
        each.startswith(word) for each in (*_DAYS, *MONTHS)
    )
    return word not in _FLAGS and not is_of_calendar
