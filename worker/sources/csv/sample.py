"""What the first rows of a file show, and what they leave to be declared.

One row that fits answers for the others: a bad row among good ones is a reject, not a question.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from shared.records import VALUES
from worker.sources.csv.columns import Columns, Question, foreign_columns, listed, stablecoins_of
from worker.sources.csv.decimal_mark import Mark, find_proofs, find_unclear
from worker.sources.csv.names import CURRENCY_SIGN, STABLECOINS, is_dollars
from worker.sources.csv.numbers import can_be_number, is_unknown, unknown_words
from worker.sources.csv.pairs import are_pairs, read_pair
from worker.sources.csv.times import (
    EXCEL,
    Clock,
    has_lost_digits,
    is_day_or_month_first,
    read_serial,
)

SAMPLE_ROWS = 20
_COUNTED = 3
"""So many ids that count up are ranks or row numbers, or may be."""
_LONGEST_COUNT = 20
"""Digits of a number that may count rows."""

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the first rows say: what is left to ask, and what they settled.

    `decimal` is the mark that they prove. With `has_pairs` the symbols are trading pairs. `settled`
    says both to a person.
    """

    questions: Sequence[Question]
    decimal: Mark | None = None
    has_pairs: bool = False
    settled: Sequence[str] = ()


def read_sample(
    headers: Sequence[str], columns: Columns, declared: Mapping[str, Any], rows: Rows
) -> Sample:
    """Answer from the first rows what the header leaves open, and ask for the rest."""
    questions = [_refine(each, columns, declared, rows) for each in columns.questions]
    questions = [_suggest_time(each, headers, columns, rows) for each in questions]
    found = {
        **{each.key: each.value for each in questions if each.table == "columns" and each.value},
        **columns.headers,
    }
    settled: list[str] = []
    if "observed_at" in found and "date_format" not in declared:
        questions += _date_format(found["observed_at"], rows, declared)
    mark = None
    if "decimal" not in declared:
        mark, asked = _decimal(headers, found, rows, settled)
        questions += asked
    undeclared = found.keys() - declared.get("columns", {}).keys()
    if "name" in undeclared and "symbol" not in columns.headers:
        questions += _name(found["name"], rows)
    if "id" in undeclared and "id" in columns.headers:
        questions += _id(found["id"], rows)
    questions += _price(headers, columns.headers.get("price_usd"), declared, rows)
    questions += _currency_column(columns, declared, rows)
    questions += _stablecoin_columns(columns, declared)
    has_pairs, asked = _pairs(columns, declared, rows, settled)
    if has_pairs:  # which say what the price is in
        questions = [each for each in questions if each.key != "currency"]
    return Sample([*questions, *asked], mark, has_pairs, settled)


def _cells(header: str, rows: Rows) -> list[str]:
    return [row[header] for row in rows if row[header].strip()]


def _refine(
    question: Question, columns: Columns, declared: Mapping[str, Any], rows: Rows
) -> Question:
    """Of several columns suggest one whose cells fit the field."""
    choices = columns.choices.get(question.key, ())
    if question.table != "columns" or not choices:
        return question
    found = {each: _misfit(question.key, each, declared, rows) for each in choices}
    misfits = {each: why for each, why in found.items() if why}
    fitting = [each for each in choices if each not in misfits]
    why = "; ".join([question.why, *misfits.values()])
    return replace(question, value=fitting[0] if fitting else "", why=why)


def _misfit(field: str, header: str, declared: Mapping[str, Any], rows: Rows) -> str | None:
    """Say why a column cannot be the field: none of its cells can be read."""
    cells = _cells(header, rows)
    if field == "observed_at":
        clock = Clock.from_declared(declared)
        if any(clock.can_read(cell) or is_day_or_month_first(cell) for cell in cells):
            return None
        lost = next(filter(has_lost_digits, cells), None)
        if lost:
            return f"{header!r} has {lost!r}, an epoch time that lost its last digits"
        return f"{header!r} has {cells[0][:80]!r}" if cells else f"{header!r} is empty"
    if field not in VALUES or not cells or any(can_be_number(cell) for cell in cells):
        return None
    return f"{header!r} has {cells[0][:80]!r}, which is no number"


def _suggest_time(
    question: Question, headers: Sequence[str], columns: Columns, rows: Rows
) -> Question:
    """Where no header is known to hold times, suggest a column whose cells are times."""
    if (question.table, question.key) != ("values", "observed_at"):
        return question
    used, clock = set(columns.headers.values()), Clock()
    for header in headers:
        cells = _cells(header, rows)
        times = [cell for cell in cells if clock.can_read(cell) or is_day_or_month_first(cell)]
        if header not in used and times and 2 * len(times) >= len(cells):
            why = f"if that is its time: it has {times[0][:80]!r}"
            return Question("columns", "observed_at", header, why)
    return question


def _price(
    headers: Sequence[str], header: str | None, declared: Mapping[str, Any], rows: Rows
) -> list[Question]:
    """Ask for another column where no cell of the price's can be read."""
    if header is None:
        return []
    unknown = unknown_words(declared.get("unknown", ()))
    cells = [cell for cell in _cells(header, rows) if not is_unknown(cell, unknown)]
    if not cells or any(can_be_number(cell) for cell in cells):
        return []
    if (sign := CURRENCY_SIGN.search(cells[0])) and sign[0] != "$":
        why = f"{header!r} has {cells[0][:80]!r}, and only US dollars are read"
        return [Question("columns", "price_usd", "", why)]
    others = [each for each in headers if any(map(can_be_number, _cells(each, rows)))]
    numbers = f"; numbers are in {listed(others)}" if others else ""
    why = f"{header!r} has {cells[0][:80]!r}, which is no number{numbers}"
    return [Question("columns", "price_usd", "", why)]


def _date_format(header: str, rows: Rows, declared: Mapping[str, Any]) -> list[Question]:
    clock = Clock.from_declared(declared)
    told = _cells(header, rows)
    if not told or any(clock.can_read(cell) for cell in told):
        return []
    if day_first := next(filter(is_day_or_month_first, told), None):
        why = f'"day-first" or "month-first": {header!r} has {day_first[:80]!r}'
        return [Question(None, "date_format", "", why)]
    if serial := read_serial(told[0]):
        why = f"if {told[0]!r} of {header!r} is Excel's number of the day {serial.date()}"
        return [Question(None, "date_format", EXCEL, why)]
    if has_lost_digits(told[0]):
        why = f"of another column: {header!r} has {told[0]!r}, an epoch time that lost its digits"
        return [Question("columns", "observed_at", "", why)]
    why = f'a strptime pattern, such as "%Y%m%d": {header!r} has {told[0][:80]!r}'
    return [Question(None, "date_format", "", why)]


def _decimal(
    headers: Sequence[str], found: Mapping[str, str], rows: Rows, settled: list[str]
) -> tuple[Mark | None, list[Question]]:
    """Find the decimal mark that the cells of the file prove; ask where a comma may be either."""
    values = [found[field] for field in VALUES if field in found]
    texts = {header for field, header in found.items() if field not in VALUES}
    proofs = find_proofs(rows, [header for header in headers if header not in texts])
    unclear = find_unclear(rows, values)
    if len(proofs) == 1:
        ((mark, proof),) = proofs.items()
        if unclear or mark == "comma":
            settled.append(f"the decimal mark is a {mark}, as {proof.header!r} has {proof.cell!r}")
        return mark, []
    if unclear is None:
        return None, []
    why = f'"comma" or "point": {unclear[0]!r} has {unclear[1][:80]!r}'
    if proofs:
        others = " and ".join(f"{each.header!r} has {each.cell!r}" for each in proofs.values())
        why = f"{why}, and {others}"
    return None, [Question(None, "decimal", "", why)]


def _name(header: str, rows: Rows) -> list[Question]:
    cells = [row[header] for row in rows]
    if not cells or not all(cell.strip().isdecimal() for cell in cells):
        return []
    why = f'such as "Bitcoin": {header!r} has {cells[0]!r}, which is a number'
    return [Question("values", "name", "", why)]


def _id(header: str, rows: Rows) -> list[Question]:
    """Ask about ids that count: a rank or a row's number names another coin in the next file."""
    cells = [row[header].strip() for row in rows]
    cells = [cell.removeprefix("#").removesuffix(".0") for cell in cells]
    short = [cell for cell in cells if len(cell) <= _LONGEST_COUNT and cell.isdecimal()]
    if not cells or 2 * len(short) < len(cells):
        return []
    numbers = list(dict.fromkeys(map(int, short)))
    is_range = len(numbers) >= _COUNTED and max(numbers) - min(numbers) == len(numbers) - 1
    if not is_range and _longest_count(numbers) < _COUNTED:
        return []
    ignore = f"ignore = {json.dumps([header], ensure_ascii=False)}"
    why = f"if it names the asset: it may be a rank, or count the rows; then {ignore}"
    return [Question("columns", "id", header, why)]


def _longest_count(numbers: Sequence[int]) -> int:
    """Measure the longest run of numbers that go up, or down, by one."""
    longest = 0
    for step in (1, -1):
        run = 1
        for before, after in pairwise(numbers):
            run = run + 1 if after - before == step else 1
            longest = max(longest, run)
    return longest


def _currency_column(columns: Columns, declared: Mapping[str, Any], rows: Rows) -> list[Question]:
    """Ask about a column called a currency in which no row names dollars."""
    header = columns.headers.get("currency")
    if header is None or "currency" in declared.get("columns", {}):
        return []
    cells = _cells(header, rows)
    as_usd = frozenset(declared.get("as_usd", ()))
    if not cells or any(is_dollars(cell, as_usd) for cell in cells):
        return []
    if coins := [cell.strip().upper() for cell in cells if cell.strip().upper() in STABLECOINS]:
        return [_count_as_dollars(dict.fromkeys(coins), f"{header!r} has {cells[0]!r}")]
    why = f"if it is the currency of the row (only US dollars are read); it has {cells[0]!r}"
    return [Question("columns", "currency", header, why)]


def _stablecoin_columns(columns: Columns, declared: Mapping[str, Any]) -> list[Question]:
    foreign = foreign_columns(columns.headers, declared)
    coins = stablecoins_of(foreign)
    if not coins:
        return []
    return [_count_as_dollars(coins, f"{listed([each[1] for each in foreign])} is in {coins[0]}")]


def _count_as_dollars(coins: Any, why: str) -> Question:
    coins = list(coins)
    return Question(None, "as_usd", coins, f"if a {coins[0]} is to count as a US dollar: {why}")


def _pairs(
    columns: Columns, declared: Mapping[str, Any], rows: Rows, settled: list[str]
) -> tuple[bool, list[Question]]:
    """Tell trading pairs from symbols, and ask where they are priced in no dollars."""
    header = columns.headers.get("symbol")
    symbols = _cells(header, rows) if header else []
    if "pair_symbols" in declared:
        return False, []
    if not are_pairs(symbols):
        parted = next((each for each in symbols if "/" in each and read_pair(each)), None)
        if parted is None:
            return False, []
        why = f"{header!r} has {parted!r} among other symbols; with true, those are refused"
        return False, [Question(None, "pair_symbols", True, why)]
    as_usd = frozenset(declared.get("as_usd", ()))
    quotes = dict.fromkeys(pair.quote for each in symbols if (pair := read_pair(each)))
    if any(is_dollars(quote, as_usd) for quote in quotes):
        settled.append(f"{header!r} holds trading pairs; the coin of {symbols[0]!r} is read")
        return True, []
    if coins := [quote for quote in quotes if quote in STABLECOINS]:
        return False, [_count_as_dollars(coins, f"{header!r} has {symbols[0]!r}")]
    why = (
        f"if {symbols[0]!r} is a coin's own symbol; as a trading pair it is priced in "
        f"{listed(list(quotes))}, and only US dollars are read"
    )
    return False, [Question(None, "pair_symbols", False, why)]
