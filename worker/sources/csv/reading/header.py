"""Find the header of a file: on its first line, below other lines, or absent."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import SourceError
from worker.sources.csv.cells.columns import Question, quoted_list, toml_line
from worker.sources.csv.cells.headers import (
    OTHER_HEADERS,
    field_for_header,
    is_known_header,
    normalise_header,
)
from worker.sources.csv.cells.numbers import can_be_number, is_unknown, parse_with_either_mark
from worker.sources.csv.cells.times import TimeParser
from worker.sources.csv.reading.dialect import DELIMITERS, find_delimiter, split_cells

_LINES_SEARCHED = 25
"""Number of lines in which a header is searched for."""

_MIN_KNOWN_NAMES = 2
"""Number of known names that identify a line as a header."""

_MIN_VALUE_SHARE = 0.5
"""Share of values that identifies a line as a row."""

_NUMBERED = re.compile(r" \([0-9]+\)\Z")
"""The suffix that `distinct_names` adds."""

_MIN_WIDTH = 3
"""Number of cells of a table that is recognised by its width alone."""


@dataclass(frozen=True, slots=True)
class Header:
    """The number of lines above the header, the delimiter, and the column names.

    `names` is None if the line after the skipped ones has them.
    """

    skip: int
    delimiter: str
    names: Sequence[str] | None
    questions: Sequence[Question]

    @property
    def has_no_names(self) -> bool:
        """Whether the file has no header, and none is declared."""
        return self.names is not None and not any(self.names)


def find_header(lines: Sequence[str], declared: Mapping[str, Any]) -> Header:
    """Find the header in the first lines of a file.

    A likely finding that is not declared becomes a question, and other questions assume it.

    Raises:
        SourceError: `declaration`, if `header` does not fit the file; `not_csv`.
    """
    skip, questions = declared.get("skip_lines", 0), []
    numbered = [(at, line) for at, line in enumerate(lines) if at >= skip and line.strip()]
    numbered = numbered[:_LINES_SEARCHED]
    if not numbered:
        return Header(skip, declared.get("delimiter", DELIMITERS[0]), declared.get("header"), [])
    if "header" not in declared and (at := _find_header_below(numbered, declared)):
        why = f"line {at + 1} looks like the header: {lines[at].strip()[:80]!r}"
        questions.append(Question(None, "skip_lines", at, why))
        skip, numbered = at, [each for each in numbered if each[0] >= at]
    first = numbered[0][1]
    delimiter, asked = _delimiter_of_values(first, declared) or find_delimiter(first, declared)
    if asked:
        questions.append(asked)
    rows = [split_cells(line, delimiter) for _, line in numbered]
    cells = rows[0]
    _refuse_quoted_lines(cells, first)
    names = declared.get("header")
    if names is not None:
        _check_declared_header(names, cells, numbered[0][0] + 1)
    elif (depth := _header_depth(rows)) > 1:
        start, skip = numbered[0][0] + 1, numbered[depth][0]
        names = _join_names(rows[:depth])
        why = f"the header has several lines ({start} to {skip}); the rows begin after them"
        questions = [each for each in questions if each.key != "skip_lines"]
        questions.append(Question(None, "skip_lines", skip, why))
        questions.append(Question(None, "header", names, "the column names in one line"))
    elif _is_data(cells, rows[1:]):
        names = [""] * len(cells)
        row = first.strip()[:200]
        why = (
            'the file has no header; name its columns in order, such as "time", "open" and '
            f'"close". The first row is {row!r}'
        )
        questions.append(Question(None, "header", names, why))
    return Header(skip, delimiter, names, questions)


def _refuse_quoted_lines(cells: Sequence[str], line: str) -> None:
    """Refuse a header that is one quoted cell with several names."""
    if len(cells) > 1 or not line.strip().startswith('"') or not line.strip().endswith('"'):
        return
    if any(_count_known(cells[0], each) >= _MIN_KNOWN_NAMES for each in DELIMITERS):
        raise SourceError(
            f"each line is quoted as a whole, and therefore a single cell: {line.strip()[:80]!r}; "
            "remove the quotes at the beginning and the end of each line",
            code="not_csv",
        )


def _header_depth(rows: Sequence[Sequence[str]]) -> int:
    """Count the lines of the header: consecutive lines that have names above columns of values.

    An export of several tickers may have one line of figures, one of tickers and one of dates.
    """
    has_value = [any(_is_value(cell) for cell in row if cell.strip()) for row in rows]
    depth = next((at for at in range(1, len(rows)) if has_value[at]), 1)
    width = len(rows[0])
    if depth == 1 or has_value[0] or any(len(row) != width for row in rows):
        return 1
    values = [
        at
        for at in range(width)
        if all(_is_value(row[at]) or is_unknown(row[at]) for row in rows[depth:])
    ]
    for row in rows[1:depth]:
        named = [row[at] for at in values if row[at].strip()]
        if not named or any(map(is_unknown, named)):
            return 1
    return depth if 2 * len(values) > width else 1


def _join_names(rows: Sequence[Sequence[str]]) -> list[str]:
    """Choose one name for each column of a header with several lines.

    The name of a time takes precedence over other known names. Columns with the same name are named
    by all lines together.
    """
    named = []
    for column in zip(*rows, strict=True):
        cells = [cell.strip() for cell in column if cell.strip()]
        times = [cell for cell in cells if normalise_header(cell) in OTHER_HEADERS["observed_at"]]
        named.append((cells, [*times, *filter(is_known_header, cells), *cells, ""][0]))
    counts = Counter(name for _, name in named)
    names = [" ".join(cells) if counts[name] > 1 else name for cells, name in named]
    return distinct_names([name or f"column {at}" for at, name in enumerate(names, start=1)])


def _delimiter_of_values(line: str, declared: Mapping[str, Any]) -> tuple[str, None] | None:
    """Find the delimiter with which most cells of a line without known names are values."""
    if "delimiter" in declared or any(_count_known(line, each) for each in DELIMITERS):
        return None
    shares = {}
    for delimiter in DELIMITERS:
        cells = [cell for cell in split_cells(line, delimiter) if cell.strip()]
        if len(cells) > 1:
            shares[delimiter] = sum(map(_is_value, cells)) / len(cells)
    best = max(shares.values(), default=0)
    likely = [delimiter for delimiter, share in shares.items() if share == best]
    return (likely[0], None) if len(likely) == 1 and best >= _MIN_VALUE_SHARE else None


def distinct_names(headers: Sequence[str]) -> list[str]:
    """Make column names unique: the second `Price` becomes `Price (2)`."""
    names: list[str] = []
    taken = set(headers)
    for header in headers:
        name, number = header, 1
        while name in names or (number > 1 and name in taken):
            number += 1
            name = f"{header} ({number})".strip()
        names.append(name)
    return names


def ask_about_duplicates(headers: Sequence[str], declared: Mapping[str, Any]) -> list[Question]:
    """Ask which column to read if several have the same known name.

    Declared and ignored columns are not asked about. `volumes.py` asks about volumes.
    """
    named = {*declared.get("columns", {}).values(), *declared.get("ignore", ())}
    named = {_NUMBERED.sub("", name.strip()) for name in named}
    counts = Counter(header.strip() for header in headers)
    questions = []
    for header, count in counts.items():
        field = field_for_header(header)
        if count == 1 or field is None or header in named:
            continue
        why = f"several columns are called {header!r}, the second is {f'{header} (2)'!r}"
        ignored = [*declared.get("ignore", ()), header]
        ignore = toml_line("ignore", ignored)
        if field in declared.get("values", {}):
            questions.append(Question(None, "ignore", ignored, why))
        else:
            questions.append(Question("columns", field, "", f"{why}; or {ignore}"))
    return questions


def _find_header_below(
    numbered: Sequence[tuple[int, str]], declared: Mapping[str, Any]
) -> int | None:
    """Find a header below the first line, by its known names or by its width."""
    delimiters = [declared["delimiter"]] if "delimiter" in declared else DELIMITERS
    known = [max(_count_known(line, each) for each in delimiters) for _, line in numbered]
    if known[0] >= _MIN_KNOWN_NAMES:
        return None
    for (at, _), count in zip(numbered[1:], known[1:], strict=True):
        if count >= _MIN_KNOWN_NAMES and count > known[0]:
            return at
    if known[0]:
        return None
    for delimiter in delimiters:
        widths = [len(split_cells(line, delimiter)) for _, line in numbered]
        width = widths[-1]
        start = next((at for at in range(len(widths)) if set(widths[at:]) == {width}), 0)
        is_table = width == max(widths) >= _MIN_WIDTH and len(widths) - start >= _MIN_KNOWN_NAMES
        if not start or not is_table:
            continue
        if widths[0] == 1 or not _is_data(split_cells(numbered[start][1], delimiter)):
            return numbered[start][0]
    return None


def _count_known(line: str, delimiter: str) -> int:
    return len({cell.strip() for cell in split_cells(line, delimiter) if is_known_header(cell)})


def _check_declared_header(names: Sequence[str], cells: Sequence[str], line: int) -> None:
    if len(names) != len(cells):
        raise SourceError(
            f"header has {len(names)} names, but line {line} has {len(cells)} cells; name every "
            "column, in order",
            code="declaration",
        )
    if sum(map(is_known_header, cells)) >= _MIN_KNOWN_NAMES and not _is_data(cells):
        raise SourceError(
            f"header is declared, but line {line} is a header already: {quoted_list(cells)[:200]}; "
            "remove header from the declaration, or skip the line with skip_lines",
            code="declaration",
        )


def _is_data(cells: Sequence[str], following: Sequence[Sequence[str]] = ()) -> bool:
    """Whether a line is a row: no name is known, and it has values in the columns of values.

    If the following lines have no column of values, at least half of the cells must be values.
    """
    filled = [cell for cell in cells if cell.strip()]
    if not filled or any(map(is_known_header, cells)):
        return False
    below = [
        cells[at]
        for at in range(len(cells))
        if (column := [row[at] for row in following if len(row) == len(cells) and row[at].strip()])
        and all(map(_is_value, column))
    ]
    compared = below or filled
    return 2 * sum(map(_is_value, compared)) >= len(compared)


def _is_value(cell: str) -> bool:
    number = cell.strip().removesuffix("%")
    if can_be_number(number) and parse_with_either_mark(number) is not None:
        return True
    return TimeParser().can_parse(cell)
