"""Columns that a declared constant hides: a row, or a file, in which one contradicts it is refused.

A constant symbol, name, id or time holds for the whole file, and so must what its columns say.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from shared.errors import SourceError
from worker.sources.csv.columns import Columns
from worker.sources.csv.names import WITHOUT_CURRENCY, is_dollars, plain
from worker.sources.csv.naming import NAMING, find_naming, is_naming
from worker.sources.csv.pairs import read_pair
from worker.sources.csv.times import Clock


class Guard(NamedTuple):
    """A column whose cells must all say the same, for a constant says it of the whole file."""

    header: str
    field: str
    expected: str
    as_usd: frozenset[str]
    advice: str = ""

    def defect(self, cells: Mapping[str, str]) -> str | None:
        cell = cells[self.header]
        if not cell.strip():
            return None
        if _name_of(cell) == self.expected:
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


def find_guards(
    headers: Sequence[str],
    columns: Columns,
    declared: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
) -> list[Guard]:
    """Find the columns that the declared constants could contradict, and compare them.

    Raises:
        SourceError: `declaration`, where the first rows do contradict one.
    """
    guards = []
    as_usd = frozenset(declared.get("as_usd", ()))
    compared = [
        *_compared(headers, columns, declared),
        *_suspected(headers, columns, declared, rows),
    ]
    for field, header in compared:
        cells = [row[header] for row in rows if row[header].strip()]
        names = list(dict.fromkeys(map(_name_of, cells)))
        advice = _advice(field, header, columns, declared)
        if len(names) > 1:
            first, other = cells[0], next(c for c in cells if _name_of(c) == names[1])
            raise _contradicted(field, header, f"has {first!r} and {other!r}", advice)
        if names:
            guards.append(Guard(header, field, names[0], as_usd, f"; {advice}"))
    for field, header in _hidden(headers, columns, declared):
        said = declared["values"][field]
        cells = [row[header] for row in rows if row[header].strip()]
        for cell in cells:
            if not _agree(field, cell, said, declared):
                advice = f"take {field} out of [values], or {_ignoring(header)}"
                why = f"has {cell!r}, and {said!r} is declared"
                raise _contradicted(field, header, why, advice)
        if cells:
            guards.append(Guard(header, field, _name_of(cells[0]), as_usd))
    return guards


def _compared(
    headers: Sequence[str], columns: Columns, declared: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Pair constants with the columns that must say one thing while they hold.

    A constant name also stands against the column of symbols, and the other way round. What an
    ignored column of ids or times says is not compared: it may count rows.
    """
    constants = declared.get("values", {})
    for field in NAMING:
        if field not in constants:
            continue
        for other in NAMING:
            if other != field and other in columns.headers:
                yield field, columns.headers[other]
        for header in headers:
            if plain(header) in WITHOUT_CURRENCY[field] and _may_contradict(
                field, header, columns, declared
            ):
                yield field, header


def _suspected(
    headers: Sequence[str],
    columns: Columns,
    declared: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
) -> Iterator[tuple[str, str]]:
    """Pair a constant with the columns whose cells look as if they named coins.

    Where a known column names the coin, no other needs to. An ignored one is of no concern.
    """
    constants = declared.get("values", {})
    field = next((each for each in NAMING if each in constants), None)
    named = (header for header in headers if is_naming(header))
    if field is None or any(row[header].strip() for header in named for row in rows):
        return
    taken = {*columns.headers.values(), *declared.get("ignore", ())}
    yield from ((field, header) for header in find_naming(headers, taken, rows))


def _may_contradict(field: str, header: str, columns: Columns, declared: Mapping[str, Any]) -> bool:
    if header in columns.headers.values():
        return False
    return field != "id" or header not in declared.get("ignore", ())


def _hidden(
    headers: Sequence[str], columns: Columns, declared: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Pair constants with the columns of their own kind that they hide, and that say one thing."""
    used = {*columns.headers.values(), *declared.get("ignore", ())}
    for field in (*NAMING, "observed_at"):
        if field in declared.get("values", {}):
            for header in headers:
                if plain(header) in WITHOUT_CURRENCY[field] and header not in used:
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
    return _name_of(cell) == _name_of(said)


def _name_of(cell: str) -> str:
    """Reduce a name to what is compared: of a trading pair that is its coin."""
    pair = read_pair(cell)
    return (pair.base if pair else cell.strip()).lower()


def _advice(field: str, header: str, columns: Columns, declared: Mapping[str, Any]) -> str:
    """Say what to declare of a column that a constant hides, or stands against."""
    if header in columns.headers.values():
        return f"take {field} out of [values]"
    told = ", ".join(each for each in NAMING if each in declared["values"])
    column = f"[columns] {field} = {json.dumps(header, ensure_ascii=False)}"
    advice = f"take {told} out of [values] and write {column}"
    if is_naming(header):
        return advice
    return f"{advice}; or {_ignoring(header)} if it does not say which coin a row is of"


def _ignoring(header: str) -> str:
    return f"ignore = {json.dumps([header], ensure_ascii=False)}"


def _contradicted(field: str, header: str, why: str, advice: str) -> SourceError:
    return SourceError(
        f"[values] {field} holds for every row of the file, and the column {header!r} {why}; "
        f"{advice}",
        code="declaration",
    )
