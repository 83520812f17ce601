"""What the first rows of a file show, and leave to be declared."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.records import VALUES
from worker.sources.csv.columns import Question
from worker.sources.csv.numbers import decimal_mark_is_unclear
from worker.sources.csv.times import Clock, is_day_or_month_first

SAMPLE_ROWS = 20
_COUNTED = 3
"""So many ids that count up by one from 0 or 1 are row numbers, or may be."""


def sample_questions(
    found: Mapping[str, str],
    declared: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
    delimiter: str,
) -> list[Question]:
    """Ask for what no header tells: the form of dates, the decimal mark, what a number names.

    One row that fits answers for the others: a bad row among good ones is a reject, not a question.
    """
    questions = []
    cells = {field: [row[header] for row in rows] for field, header in found.items()}
    if "observed_at" in found and "date_format" not in declared:
        questions += _date_format(found["observed_at"], cells["observed_at"], declared)
    if delimiter != "," and "decimal" not in declared:
        questions += _decimal(found, cells)
    undeclared = found.keys() - declared.get("columns", {}).keys()
    if "name" in undeclared and "symbol" not in found:
        questions += _name(found["name"], cells["name"])
    if "id" in undeclared:
        questions += _id(found["id"], cells["id"])
    return questions


def _date_format(header: str, cells: Sequence[str], declared: Mapping[str, Any]) -> list[Question]:
    clock = Clock.from_declared(declared)
    told = [cell for cell in cells if cell.strip()]
    if not told or any(_is_time(clock, cell) for cell in told):
        return []
    shown = next(filter(is_day_or_month_first, told), told[0])
    form = (
        '"day-first" or "month-first"'
        if is_day_or_month_first(shown)
        else 'a strptime pattern, such as "%Y%m%d"'
    )
    return [Question(None, "date_format", "", f"{form}: {header!r} has {shown[:80]!r}")]


def _is_time(clock: Clock, cell: str) -> bool:
    try:
        clock.read(cell)
    except (ValueError, OverflowError):
        return False
    return True


def _decimal(found: Mapping[str, str], cells: Mapping[str, Sequence[str]]) -> list[Question]:
    for field in VALUES:
        for cell in cells.get(field, ()):
            if decimal_mark_is_unclear(cell):
                why = f'"comma" or "point": {found[field]!r} has {cell[:80]!r}'
                return [Question(None, "decimal", "", why)]
    return []


_LONGEST_COUNT = 20
"""Digits of a number that may count rows."""


def _name(header: str, cells: Sequence[str]) -> list[Question]:
    if not cells or not all(cell.strip().isdecimal() for cell in cells):
        return []
    why = f'such as "Bitcoin": {header!r} has {cells[0]!r}, which is a number'
    return [Question("values", "name", "", why)]


def _id(header: str, cells: Sequence[str]) -> list[Question]:
    short = [cell for cell in cells if len(cell) <= _LONGEST_COUNT]
    numbers = [int(cell) for cell in short if cell.strip().isdecimal()]
    counted = list(range(numbers[0], numbers[0] + len(cells))) if numbers else []
    if len(numbers) < _COUNTED or numbers != counted or numbers[0] > 1:
        return []
    why = f"if it names the asset: it may count the rows; then ignore = {json.dumps([header])}"
    return [Question("columns", "id", header, why)]
