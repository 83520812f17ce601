"""Ask about ids that only count: a rank or row number means another coin in the next file."""

from collections.abc import Sequence
from itertools import pairwise

from worker.sources.csv.cells.columns import Question, toml_line
from worker.sources.csv.first_rows import FirstRows

_COUNTED = 3
"""Number of consecutive ids that may be ranks or row numbers."""
_LONGEST_COUNT = 20
"""Digits of the longest number that may count rows."""


def ask_about_id(first: FirstRows) -> list[Question]:
    """Ask about an undeclared column of consecutive ids; the suggestion is to ignore it."""
    header = first.columns.headers.get("id")
    if header is None or "id" in first.declared.get("columns", {}):
        return []
    cells = [row[header].strip().removeprefix("#").removesuffix(".0") for row in first.rows]
    short = [cell for cell in cells if len(cell) <= _LONGEST_COUNT and cell.isdecimal()]
    if not cells or 2 * len(short) < len(cells):
        return []
    numbers = list(dict.fromkeys(map(int, short)))
    is_range = len(numbers) >= _COUNTED and max(numbers) - min(numbers) == len(numbers) - 1
    if not is_range and _longest_count(numbers) < _COUNTED:
        return []
    column = toml_line("id", header, "columns")
    why = (
        f"{header!r} has consecutive numbers, such as ranks or row numbers, which mean other coins "
        f"in the next file; if they are permanent ids of the provider, write {column} instead"
    )
    return [Question(None, "ignore", [*first.ignored, header], why)]


def _longest_count(numbers: Sequence[int]) -> int:
    """Return the length of the longest run of numbers that rise, or fall, by one."""
    longest = 0
    for step in (1, -1):
        run = 1
        for before, after in pairwise(numbers):
            run = run + 1 if after - before == step else 1
            longest = max(longest, run)
    return longest
