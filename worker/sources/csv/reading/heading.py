"""Where a file's header is: on its first line, below other lines, or not there at all."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import SourceError
from worker.sources.csv.cells.columns import Question, listed, toml_line
from worker.sources.csv.cells.names import WITHOUT_CURRENCY, field_of, is_known, plain
from worker.sources.csv.cells.numbers import can_be_number, is_unknown, parse_with_either_mark
from worker.sources.csv.cells.times import Clock
from worker.sources.csv.reading.dialect import DELIMITERS, find_delimiter, split_cells

_LOOKED_AT = 25
"""Lines among which a header is looked for."""

_ENOUGH = 2
"""So many known names make a header of a line."""

_MOST = 0.5
"""So large a share of values makes a row of a line."""

_NUMBERED = re.compile(r" \([0-9]+\)\Z")
"""What `distinct_names` adds to a name."""

_LEAST_WIDTH = 3
"""Cells of a table that is told from the lines above it by its width alone."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The lines above the header, the delimiter, and the names where the file has none itself."""

    skip: int
    delimiter: str
    names: Sequence[str] | None
    questions: Sequence[Question]


def find_heading(lines: Sequence[str], declared: Mapping[str, Any]) -> Heading:
    """Tell where the header is from the first lines of a file.

    What is likely but not declared is asked for, and taken to see what else is to ask.

    Raises:
        SourceError: `declaration`, where `header` does not fit the file; `not_csv`.
    """
    skip, questions = declared.get("skip_lines", 0), []
    shown = [(at, line) for at, line in enumerate(lines) if at >= skip and line.strip()]
    shown = shown[:_LOOKED_AT]
    if not shown:
        return Heading(skip, declared.get("delimiter", DELIMITERS[0]), declared.get("header"), [])
    if "header" not in declared and (at := _header_below(shown, declared)):
        why = f"line {at + 1} looks like the header: {lines[at].strip()[:80]!r}"
        questions.append(Question(None, "skip_lines", at, why))
        skip, shown = at, [each for each in shown if each[0] >= at]
    first = shown[0][1]
    delimiter, asked = _delimiter_of_values(first, declared) or find_delimiter(first, declared)
    if asked:
        questions.append(asked)
    rows = [split_cells(line, delimiter) for _, line in shown]
    cells = rows[0]
    _require_parted(cells, first)
    names = declared.get("header")
    if names is not None:
        _require_fit(names, cells, shown[0][0] + 1)
    elif (depth := _header_depth(rows)) > 1:
        start, skip = shown[0][0] + 1, shown[depth][0]
        names = _joined_names(rows[:depth])
        why = f"the header has several lines, {start} to {skip}: the rows begin after them"
        questions = [each for each in questions if each.key != "skip_lines"]
        questions.append(Question(None, "skip_lines", skip, why))
        questions.append(Question(None, "header", names, "its names, in one line"))
    elif _is_data(cells, rows[1:]):
        names = [f"column {number}" for number in range(1, len(cells) + 1)]
        row = first.strip()[:200]
        why = f"this file has no header; name its columns in order, the first row is {row!r}"
        questions.append(Question(None, "header", names, why))
    return Heading(skip, delimiter, names, questions)


def _require_parted(cells: Sequence[str], line: str) -> None:
    """Refuse a header that is one cell of several names, as quotes around whole lines make it."""
    if len(cells) > 1 or not line.strip().startswith('"') or not line.strip().endswith('"'):
        return
    if any(_count_known(cells[0], each) >= _ENOUGH for each in DELIMITERS):
        raise SourceError(
            f"each line is in quotes as a whole, and so is one cell: {line.strip()[:80]!r}; take "
            "out the quotes at the beginning and the end of each line",
            code="not_csv",
        )


def _header_depth(rows: Sequence[Sequence[str]]) -> int:
    """Count the lines of the header: below its first, those of names alone over columns of values.

    An export of several tickers has one for the figures, one for the tickers, one for the dates.
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


def _joined_names(rows: Sequence[Sequence[str]]) -> list[str]:
    """Name each column by what is known of the names above each other; by all where two are alike.

    That a line calls a column a date goes before what the others call it.
    """
    named = []
    for column in zip(*rows, strict=True):
        cells = [cell.strip() for cell in column if cell.strip()]
        times = [cell for cell in cells if plain(cell) in WITHOUT_CURRENCY["observed_at"]]
        named.append((cells, [*times, *filter(is_known, cells), *cells, ""][0]))
    counts = Counter(name for _, name in named)
    names = [" ".join(cells) if counts[name] > 1 else name for cells, name in named]
    return distinct_names([name or f"column {at}" for at, name in enumerate(names, start=1)])


def _delimiter_of_values(line: str, declared: Mapping[str, Any]) -> tuple[str, None] | None:
    """Tell the delimiter of a line without known names: most of its cells are values with one."""
    if "delimiter" in declared or any(_count_known(line, each) for each in DELIMITERS):
        return None
    shares = {}
    for delimiter in DELIMITERS:
        cells = [cell for cell in split_cells(line, delimiter) if cell.strip()]
        if len(cells) > 1:
            shares[delimiter] = sum(map(_is_value, cells)) / len(cells)
    best = max(shares.values(), default=0)
    likely = [delimiter for delimiter, share in shares.items() if share == best]
    return (likely[0], None) if len(likely) == 1 and best >= _MOST else None


def distinct_names(headers: Sequence[str]) -> list[str]:
    """Give each column a name of its own: the second `Price` is `Price (2)`."""
    names: list[str] = []
    taken = set(headers)
    for header in headers:
        name, number = header, 1
        while name in names or (number > 1 and name in taken):
            number += 1
            name = f"{header} ({number})".strip()
        names.append(name)
    return names


def ask_of_doubles(headers: Sequence[str], declared: Mapping[str, Any]) -> list[Question]:
    """Ask which column is read where several have one known name, unless it is declared or ignored.

    A volume is asked about by its cells.
    """
    said = {*declared.get("columns", {}).values(), *declared.get("ignore", ())}
    said = {_NUMBERED.sub("", name.strip()) for name in said}
    counts = Counter(header.strip() for header in headers)
    questions = []
    for header, count in counts.items():
        field = field_of(header)
        if count == 1 or field is None or header in said:
            continue
        why = f"several columns are called {header!r}, the second is {f'{header} (2)'!r}"
        ignored = [*declared.get("ignore", ()), header]
        ignore = toml_line("ignore", ignored)
        if field in declared.get("values", {}):
            questions.append(Question(None, "ignore", ignored, why))
        else:
            questions.append(Question("columns", field, "", f"{why}; or {ignore}"))
    return questions


def _header_below(shown: Sequence[tuple[int, str]], declared: Mapping[str, Any]) -> int | None:
    """Find the line below the first that is the header, by its known names or by its width."""
    delimiters = [declared["delimiter"]] if "delimiter" in declared else DELIMITERS
    known = [max(_count_known(line, each) for each in delimiters) for _, line in shown]
    if known[0] >= _ENOUGH:
        return None
    for (at, _), count in zip(shown[1:], known[1:], strict=True):
        if count >= _ENOUGH and count > known[0]:
            return at
    if known[0]:
        return None
    for delimiter in delimiters:
        widths = [len(split_cells(line, delimiter)) for _, line in shown]
        width = widths[-1]
        start = next((at for at in range(len(widths)) if set(widths[at:]) == {width}), 0)
        is_table = width == max(widths) >= _LEAST_WIDTH and len(widths) - start >= _ENOUGH
        if not start or not is_table:
            continue
        if widths[0] == 1 or not _is_data(split_cells(shown[start][1], delimiter)):
            return shown[start][0]
    return None


def _count_known(line: str, delimiter: str) -> int:
    return len({cell.strip() for cell in split_cells(line, delimiter) if is_known(cell)})


def _require_fit(names: Sequence[str], cells: Sequence[str], line: int) -> None:
    if len(names) != len(cells):
        raise SourceError(
            f"header names {len(names)} columns, and line {line} has {len(cells)} cells; name "
            "every column, in order",
            code="declaration",
        )
    if sum(map(is_known, cells)) >= _ENOUGH and not _is_data(cells):
        raise SourceError(
            f"header is declared for files that have none, and line {line} is one: "
            f"{listed(cells)[:200]}; take header out, or skip it with skip_lines",
            code="declaration",
        )


def _is_data(cells: Sequence[str], following: Sequence[Sequence[str]] = ()) -> bool:
    """Tell whether a line holds values: no name is known, and values stand where others do below.

    Where no line follows that shows it, half of the cells must be values.
    """
    filled = [cell for cell in cells if cell.strip()]
    if not filled or any(map(is_known, cells)):
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
    return Clock().can_read(cell)
