"""Detect exports that leave out empty cells at the end of rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.sources.csv.reading.rows import Row

_FEWEST = 2
"""Number of short rows that show how the export writes rows; one alone may be broken."""


def min_row_length(
    rows: Sequence[Row],
    headers: Sequence[str],
    required: Sequence[str],
    declared: Mapping[str, Any],
) -> int | None:
    """Return the minimum number of cells of a row that may be padded; None if none may be.

    An export that leaves out empty cells never has one at the end of a row. A row without all
    `required` columns is always broken. If the first rows do not show it, `pad_short_rows` must be
    declared.
    """
    needed = 1 + max((headers.index(header) for header in required), default=0)
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
