"""Suggest columns for fields without a known header, by cells and by words in the header.

A suggestion is part of a question. Only a declaration assigns a column to a field.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from shared.model.records import VALUES
from worker.sources.csv.cells.candles import names_close
from worker.sources.csv.cells.columns import Question, quoted_list
from worker.sources.csv.cells.headers import (
    DOLLAR,
    STABLECOINS,
    currency_in_header,
    header_words,
    is_known_header,
    normalise_header,
)
from worker.sources.csv.cells.numbers import can_be_number
from worker.sources.csv.cells.times import TimeParser, has_lost_digits, is_day_or_month_first
from worker.sources.csv.first_rows import FirstRows

_TIME_WORDS = frozenset({"time", "timestamp", "date", "datetime", "epoch", "unix", "ts", "at"})
_PRICE_WORDS = frozenset(
    {
        *("price", "last", "close", "closing", "mid", "vwap", "average", "avg", "quote", "rate"),
        *("value", "kurs", "schlusskurs", "preis", "wert", "precio", "cierre", "último", "ultimo"),
        *("última", "ultima", "valor", "preço", "preco", "fechamento", "prix", "cours", "clôture"),
        *("dernier", "valeur", "prezzo", "chiusura", "cena", "kurz", "zamknięcie", "koers", "slot"),
        *("fiyat", "şimdi", "цена", "курс", "закрытие"),
    }
)
_NOT_PRICE_WORDS = frozenset(
    {
        *("volume", "vol", "turnover", "cap", "marketcap", "supply", "circulating"),
        *("rank", "count", "trades", "tradecount", "number", "no", "id", "year", "index"),
        *("change", "chg", "percent", "pct", "return", "returns", "ratio", "dominance", "share"),
        *("score", "spread", "weight", "diluted", "fdv", "tvl", "fees", "fee", "ath", "atl"),
        *("open", "high", "low", "max", "min", "var", "volatility", "1h", "24h", "7d", "30d"),
    }
)
_NOT_PRICE = re.compile(r"%|\bfark\b|\bzm[eě]na\b", re.IGNORECASE)
_FEWEST_TIMES = 2
_MOST_CANDIDATES = 3
"""With more candidates than this, none without a price word in its header is suggested."""


def refine_choice(question: Question, first: FirstRows) -> Question:
    """Suggest one of several columns whose cells fit; of values, only if a single one fits."""
    choices = first.columns.choices.get(question.key, ())
    if question.table != "columns" or not choices:
        return question
    found = {each: _misfit(question.key, each, first) for each in choices}
    misfits = {each: why for each, why in found.items() if why}
    fitting = [each for each in choices if each not in misfits]
    why = "; ".join([question.why, *misfits.values()])
    is_guess = question.key in VALUES and len(fitting) > 1
    return replace(question, value=fitting[0] if fitting and not is_guess else "", why=why)


def _misfit(field: str, header: str, first: FirstRows) -> str | None:
    """Return the reason why no cell of a column is readable as the field."""
    cells = first.cells(header)
    if field == "observed_at":
        parser = TimeParser.from_declaration(first.declared)
        if any(parser.can_parse(cell) or is_day_or_month_first(cell) for cell in cells):
            return None
        lost = next(filter(has_lost_digits, cells), None)
        if lost:
            return f"{header!r} has {lost!r}, an epoch time that lost its last digits"
        return f"{header!r} has {cells[0][:80]!r}" if cells else f"{header!r} is empty"
    if field not in VALUES or not cells or any(can_be_number(cell) for cell in cells):
        return None
    return f"{header!r} has {cells[0][:80]!r}, which is not a number"


def suggest_time(question: Question, first: FirstRows) -> Question:
    """If no header is known to hold times, suggest a column whose cells are times.

    That of a close takes precedence.
    """
    if (question.table, question.key) != ("values", "observed_at"):
        return question
    for header in sorted(first.unread(), key=names_close, reverse=True):
        cells = first.cells(header)
        if are_times(header, cells):
            time = next(cell for cell in cells if _is_time(cell))
            why = f"if this column is the time: it has {time[:80]!r}"
            return Question("columns", "observed_at", header, why)
    return question


def are_times(header: str, cells: Sequence[str]) -> bool:
    """Whether a column holds times; numbers also need a matching header or regular steps."""
    times = [cell for cell in cells if _is_time(cell)]
    if not times or 2 * len(times) < len(cells):
        return False
    if not any(map(can_be_number, times)) or not _TIME_WORDS.isdisjoint(header_words(header)):
        return True
    if len(times) < len(cells) or len(times) < _FEWEST_TIMES:
        return False
    instants = [TimeParser().parse(cell) for cell in cells]
    steps = {after > before for before, after in pairwise(instants) if after != before}
    return len(steps) == 1 and all(not (each.second or each.microsecond) for each in instants)


def _is_time(cell: str) -> bool:
    return TimeParser().can_parse(cell) or is_day_or_month_first(cell)


def suggest_price(questions: Sequence[Question], first: FirstRows) -> list[Question]:
    """If no column is known to be the price, suggest one or ask for it."""
    found = first.columns.headers
    asked = next((each for each in questions if each.key == "price_usd"), None)
    if "price_usd" in found or (asked and "price_usd" in first.columns.choices):
        return list(questions)
    if asked and "price_usd" in first.declared.get("columns", {}):
        return list(questions)
    likely, possible, foreign = _price_columns(first, questions)
    value = likely[0] if len(likely) == 1 else ""
    if asked:
        reasons = [asked.why, *(_describe_foreign(header) for header in foreign)]
        if value:
            reasons = [f"if this column is the price: it has {first.cells(value)[0]!r}"]
        elif likely:
            reasons[0] = f"the price may be {quoted_list(likely)}"
        answer = replace(asked, value=value, why="; ".join(reasons))
        return [answer if each is asked else each for each in questions]
    candidates = likely or possible
    if not candidates:
        return list(questions)
    ignore = first.ignore_line(*candidates)
    why = f"the price may be {quoted_list(candidates)}; if it is not in the file, write {ignore}"
    return [*questions, Question("columns", "price_usd", value, why)]


def find_prices(first: FirstRows) -> tuple[list[str], list[str], list[str]]:
    """Return unread columns: likely prices, possible prices, and prices in another currency."""
    return _price_columns(first, ())


def may_have_price(first: FirstRows) -> bool:
    """Whether an unread column may be a price that is not certainly in another currency."""
    likely, possible, foreign = find_prices(first)
    return bool(likely or possible or not foreign)


def _describe_foreign(header: str) -> str:
    return f"{header!r} names {currency_in_header(header)}, and only US dollars are read"


def _price_columns(
    first: FirstRows, questions: Sequence[Question]
) -> tuple[list[str], list[str], list[str]]:
    """Return what `find_prices` does; columns suggested by questions are left out."""
    suggested = [each.value for each in questions if each.table == "columns"]
    likely, possible, foreign = [], [], []
    for header in first.unread(suggested):
        words = set(header_words(header))
        currency = currency_in_header(header)
        if not _can_be_price(header, words, first):
            continue
        if currency not in {None, DOLLAR, *STABLECOINS}:
            foreign.append(header)
        elif words & _PRICE_WORDS or any(
            each in normalise_header(header) for each in ("price", "close")
        ):
            likely.append(header)
        elif any("." in cell or "," in cell for cell in first.cells(header)):
            possible.append(header)
    return likely, possible if len(possible) <= _MOST_CANDIDATES else [], foreign


def _can_be_price(header: str, words: set[str], first: FirstRows) -> bool:
    if is_known_header(header) or words & _NOT_PRICE_WORDS or _NOT_PRICE.search(header):
        return False
    cells = first.value_cells(header)
    numbers = [cell for cell in cells if can_be_number(cell)]
    return bool(numbers) and 2 * len(numbers) > len(cells) and not are_times(header, cells)
