"""Compare declared constants with the columns that they replace.

A constant symbol, name, id or time applies to the whole file. A file, or a later row, whose columns
contradict it is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from shared.errors import SourceError
from worker.sources.csv.cells.columns import toml_line
from worker.sources.csv.cells.headers import OTHER_HEADERS, is_dollars, normalise_header
from worker.sources.csv.cells.pairs import read_pair
from worker.sources.csv.cells.times import TimeParser
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.coin_columns import (
    COIN_FIELDS,
    coin_name,
    find_coin_columns,
    is_coin_header,
)


class Guard(NamedTuple):
    """A column whose cells must all agree, because a constant applies to the whole file.

    A row is not checked if it has a cell in one of the `unless` columns.
    """

    header: str
    field: str
    expected: str
    as_usd: frozenset[str]
    advice: str = ""
    unless: Sequence[str] = ()

    def defect(self, cells: Mapping[str, str]) -> str | None:
        cell = cells[self.header]
        if not cell.strip() or any(cells[each].strip() for each in self.unless):
            return None
        if coin_name(cell) == self.expected:
            pair = read_pair(cell) if self.field == "symbol" else None
            if pair is None or is_dollars(pair.quote, self.as_usd):
                return None
            return (
                f"{self.header}: {cell!r} is priced in {pair.quote}, and only US dollars are read"
            )
        return (
            f"{self.header}: {cells[self.header]!r} contradicts [values] {self.field}, which "
            f"applies to the whole file; its other rows have {self.expected!r}{self.advice}"
        )


def find_guards(first: FirstRows) -> list[Guard]:
    """Compare the declared constants with the first rows, and return guards for later rows.

    Raises:
        SourceError: `declaration`, if the first rows contradict a constant.
    """
    compared = [(*each, ()) for each in _compared_columns(first)]
    identifying = _identifying_columns(first)
    suspected = [(*each, identifying) for each in _suspected_columns(first, identifying)]
    guards = []
    for field, header, unless in (*compared, *suspected):
        cells = first.cells(header)
        names = list(dict.fromkeys(map(coin_name, cells)))
        advice = _advice(field, header, first)
        if len(names) > 1:
            other = next(cell for cell in cells if coin_name(cell) == names[1])
            raise _contradicted(field, header, f"has {cells[0]!r} and {other!r}", advice)
        if names:
            guards.append(Guard(header, field, names[0], first.as_usd, f"; {advice}", unless))
    for field, header in _hidden_columns(first):
        constant = first.declared["values"][field]
        cells = first.cells(header)
        for cell in cells:
            if not _agree(field, cell, constant, first.declared):
                advice = f"remove {field} from [values], or write {first.ignore_line(header)}"
                why = f"has {cell!r}, but {constant!r} is declared"
                raise _contradicted(field, header, why, advice)
        if cells:
            guards.append(Guard(header, field, coin_name(cells[0]), first.as_usd))
    return guards


def _compared_columns(first: FirstRows) -> Iterator[tuple[str, str]]:
    """Yield constants with columns whose cells must all be equal.

    A constant name is also compared with the column of symbols, and the other way round. Ignored
    columns of ids are not compared: they may count rows.
    """
    read = first.columns.headers
    for field in COIN_FIELDS:
        if field not in first.declared.get("values", {}):
            continue
        for other in COIN_FIELDS:
            if other != field and other in read:
                yield field, read[other]
        unread = {*first.headers} - {*read.values(), *(first.ignored if field == "id" else ())}
        for header in first.headers:
            if header in unread and normalise_header(header) in OTHER_HEADERS[field]:
                yield field, header


def _identifying_columns(first: FirstRows) -> tuple[str, ...]:
    """Return the columns of symbols and names: those read, and those replaced by a constant."""
    read = {first.columns.headers.get(field) for field in ("symbol", "name")}
    known = {each for each in first.unread() if is_coin_header(each)}
    return tuple(each for each in first.headers if each in read | known)


def _suspected_columns(first: FirstRows, identifying: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield a constant with the columns whose cells name coins, or look as if they did.

    A column is not suspected if its cells differ among rows whose coin a known column identifies:
    the known column does not vary, so these cells do not name coins. Ignored columns are left out.
    """
    constants = first.declared.get("values", {})
    field = next((each for each in COIN_FIELDS if each in constants), None)
    if field is None:
        return
    identified = [row for row in first.rows if any(row[each].strip() for each in identifying)]
    for header in find_coin_columns(first):
        if len({coin_name(row[header]) for row in identified if row[header].strip()}) <= 1:
            yield field, header


def _hidden_columns(first: FirstRows) -> Iterator[tuple[str, str]]:
    """Yield constants with the unread columns of the same field."""
    for field in (*COIN_FIELDS, "observed_at"):
        if field in first.declared.get("values", {}):
            for header in first.unread():
                if normalise_header(header) in OTHER_HEADERS[field]:
                    yield field, header


def _agree(field: str, cell: str, constant: str, declared: Mapping[str, Any]) -> bool:
    if field == "observed_at":
        parser = TimeParser.from_declaration(declared)
        try:
            return parser.parse(cell) == parser.parse(constant)
        except (ValueError, OverflowError):
            return False
    if cell.strip().isdecimal():  # a numeric id of another provider
        return True
    return coin_name(cell) == coin_name(constant)


def _advice(field: str, header: str, first: FirstRows) -> str:
    """Suggest a declaration for a column that contradicts a constant."""
    if header in first.columns.headers.values():
        return f"remove {field} from [values]"
    constants = ", ".join(each for each in COIN_FIELDS if each in first.declared["values"])
    column = toml_line(field, header, "columns")
    advice = f"remove {constants} from [values] and write {column}"
    if is_coin_header(header):
        return advice
    return f"{advice}; or write {first.ignore_line(header)} if it does not name the coin of a row"


def _contradicted(field: str, header: str, why: str, advice: str) -> SourceError:
    return SourceError(
        f"[values] {field} applies to every row of the file, but the column {header!r} {why}; "
        f"{advice}",
        code="declaration",
    )
