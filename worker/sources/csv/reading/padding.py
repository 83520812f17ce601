"""Rows that lack cells at their end: those of a maker that leaves out empty ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.sources.csv.reading.rows import Row

_FEWEST = 2
"""So many short rows show how their maker writes; a single one may be broken."""


def shortest_row(
    rows: Sequence[Row], headers: Sequence[str], read: Sequence[str], declared: Mapping[str, Any]
) -> int | None:
    """Tell how many cells a row must have to be padded with empty ones; None where none may be.

    A maker that leaves out empty cells at the end never writes one there, and a row that lacks what
    must be `read` is broken, whoever made it. Where the first rows do not show it,
    `pad_short_rows` declares it.
    """
    needed = 1 + max((headers.index(header) for header in read), default=0)
    if "pad_short_rows" in declared:
        return needed if declared["pad_short_rows"] else None
    last = len(headers) - 1
    short = [row for row in rows if row.cells and len(row.cells) <= last]
    whole = [row for row in rows if row.defect is None]
    if len(short) < _FEWEST or not whole:
        return None
    if any(not row.cells[-1].strip() for row in (*short, *whole)):
        return None
    return max(needed, min(len(row.cells) for row in short))
