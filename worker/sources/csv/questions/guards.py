"""Columns that a declared constant hides: a row, or a file, in which one contradicts it is refused.

A constant symbol, name, id or time holds for the whole file, and so must what its columns say.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from shared.errors import SourceError
from worker.sources.csv.cells.columns import toml_line
from worker.sources.csv.cells.names import WITHOUT_CURRENCY, is_dollars, plain
from worker.sources.csv.cells.pairs import read_pair
from worker.sources.csv.cells.times import Clock
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.questions.naming import NAMING, find_naming, is_naming, name_of


class Guard(NamedTuple):
    """A column whose cells must all say the same, for a constant says it of the whole file.

    A row that has a cell under one of the columns of `unless` need not say it here.
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
        if name_of(cell) == self.expected:
            pair = read_pair(cell) if self.field == "symbol" else None
            if pair is None or is_dollars(pair.quote, self.as_usd):
                return None
            return (
                f"{self.header}: {cell!r} is priced in {pair.quote}, and only US dollars are read"
            )
        return (
            f"{self.header}: {cells[self.header]!r} contradicts [values] {self.field}, which holds "
            f"for the whole file; its other rows have {self.expected!r}{self.advice}"
        )


def find_guards(first: FirstRows) -> list[Guard]:
    """Find the columns that the declared constants could contradict, and compare them.

    Raises:
        SourceError: `declaration`, where the first rows do contradict one.
    """
    compared = [(*each, ()) for each in _compared(first)]
    named_by = _named_by(first)
    suspected = [(*each, named_by) for each in _suspected(first, named_by)]
    guards = []
    for field, header, unless in (*compared, *suspected):
        cells = first.cells(header)
        names = list(dict.fromkeys(map(name_of, cells)))
        advice = _advice(field, header, first)
        if len(names) > 1:
            other = next(cell for cell in cells if name_of(cell) == names[1])
            raise _contradicted(field, header, f"has {cells[0]!r} and {other!r}", advice)
        if names:
            guards.append(Guard(header, field, names[0], first.as_usd, f"; {advice}", unless))
    for field, header in _hidden(first):
        said = first.declared["values"][field]
        cells = first.cells(header)
        for cell in cells:
            if not _agree(field, cell, said, first.declared):
                advice = f"take {field} out of [values], or {first.ignore_line(header)}"
                why = f"has {cell!r}, and {said!r} is declared"
                raise _contradicted(field, header, why, advice)
        if cells:
            guards.append(Guard(header, field, name_of(cells[0]), first.as_usd))
    return guards


def _compared(first: FirstRows) -> Iterator[tuple[str, str]]:
    """Pair constants with the columns that must say one thing while they hold.

    A constant name also stands against the column of symbols, and the other way round. What an
    ignored column of ids or times says is not compared: it may count rows.
    """
    read = first.columns.headers
    for field in NAMING:
        if field not in first.declared.get("values", {}):
            continue
        for other in NAMING:
            if other != field and other in read:
                yield field, read[other]
        unread = {*first.headers} - {*read.values(), *(first.ignored if field == "id" else ())}
        for header in first.headers:
            if header in unread and plain(header) in WITHOUT_CURRENCY[field]:
                yield field, header


def _named_by(first: FirstRows) -> tuple[str, ...]:
    """Name the columns of symbols and names: read ones, and those that a constant hides."""
    read = {first.columns.headers.get(field) for field in ("symbol", "name")}
    known = {each for each in first.unread() if is_naming(each)}
    return tuple(each for each in first.headers if each in read | known)


def _suspected(first: FirstRows, named_by: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pair a constant with the columns whose cells name coins, or look as if they did.

    A row whose coin a known column names needs no other to name it: what varies among such rows
    names no coin, for the known column does not vary. An ignored column is of no concern.
    """
    constants = first.declared.get("values", {})
    field = next((each for each in NAMING if each in constants), None)
    if field is None:
        return
    named = [row for row in first.rows if any(row[each].strip() for each in named_by)]
    for header in find_naming(first):
        if len({name_of(row[header]) for row in named if row[header].strip()}) <= 1:
            yield field, header


def _hidden(first: FirstRows) -> Iterator[tuple[str, str]]:
    """Pair constants with the columns of their own kind that they hide, and that say one thing."""
    for field in (*NAMING, "observed_at"):
        if field in first.declared.get("values", {}):
            for header in first.unread():
                if plain(header) in WITHOUT_CURRENCY[field]:
                    yield field, header


def _agree(field: str, cell: str, said: str, declared: Mapping[str, Any]) -> bool:
    if field == "observed_at":
        clock = Clock.from_declared(declared)
        try:
            return clock.read(cell) == clock.read(said)
        except (ValueError, OverflowError):
            return False
    if cell.strip().isdecimal():  # another provider's number of it
        return True
    return name_of(cell) == name_of(said)


def _advice(field: str, header: str, first: FirstRows) -> str:
    """Say what to declare of a column that a constant hides, or stands against."""
    if header in first.columns.headers.values():
        return f"take {field} out of [values]"
    told = ", ".join(each for each in NAMING if each in first.declared["values"])
    column = toml_line(field, header, "columns")
    advice = f"take {told} out of [values] and write {column}"
    if is_naming(header):
        return advice
    return f"{advice}; or {first.ignore_line(header)} if it does not say which coin a row is of"


def _contradicted(field: str, header: str, why: str, advice: str) -> SourceError:
    return SourceError(
        f"[values] {field} holds for every row of the file, and the column {header!r} {why}; "
        f"{advice}",
        code="declaration",
    )
