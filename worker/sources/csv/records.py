"""How the rows of one file become raw records, each with what its meaning depends on."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shared.model.records import VALUES, RawRecord
from worker.sources.csv.cells.names import CURRENCY_SIGN, SUPPLIES
from worker.sources.csv.cells.numbers import decimal_mark_is_unclear, is_unknown, unknown_words
from worker.sources.csv.cells.pairs import is_certain_pair, is_unclear_pair, names_future
from worker.sources.csv.declaration import for_the_row
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.meaning import row_meaning
from worker.sources.csv.questions.currency_columns import CurrencyGuard
from worker.sources.csv.questions.guards import Guard
from worker.sources.csv.reading.rows import Row
from worker.sources.csv.sample import Sample
from worker.sources.csv.schema import NEVER_ZERO

_encode = msgspec.json.Encoder().encode

Cells = Mapping[str, str]

MISFIT = "misfit"
"""The name under which a refused row keeps why it does not fit its file."""


class RowRecords:
    """Makes records of the rows of a file that is known well enough to be read.

    A row that can be read, and does not fit its file, gets a defect: it contradicts a constant that
    one of the `guards` knows, its decimal mark is unclear, or its cells are shifted.
    """

    def __init__(self, first: FirstRows, sample: Sample) -> None:
        columns, declared = first.columns.headers, first.declared
        self.guards: Sequence[Guard | CurrencyGuard] = ()
        self._file = first.name
        self._headers = first.headers
        self._values = [columns[each] for each in VALUES if each in columns]
        self._supplies = [columns[each] for each in SUPPLIES if each in columns]
        self._unsigned: Sequence[str] = ()
        self._unknown = unknown_words(declared.get("unknown", ()))
        zeros = {*NEVER_ZERO, *declared.get("zero_is_unknown", ())}
        self._never_zero = {columns[each] for each in zeros if each in columns}
        self._mark_is_open = sample.decimal is None and "decimal" not in declared
        self._has_unclear_points = sample.has_unclear_points
        self._symbol = columns.get("symbol") if "pair_symbols" not in declared else None
        self._has_pairs = sample.has_pairs
        proven = row_meaning(sample)
        has_comma = proven.pop("decimal", None) is not None
        self._told = for_the_row({**declared, **proven})
        self._comma = {**(self._told or {}), "decimal": "comma"} if has_comma else None

    def compare_supplies(self, rows: Sequence[Cells]) -> None:
        """Learn from the first rows under which supplies a currency sign is out of place."""
        for header in self._supplies:
            filled = [row[header] for row in rows if row[header].strip()]
            signed = sum(bool(CURRENCY_SIGN.search(cell)) for cell in filled)
            if 2 * signed <= len(filled):
                self._unsigned = (*self._unsigned, header)

    def position(self, row: Row) -> str:
        return f"{self._file}, line {row.line}"

    def record(self, row: Row) -> RawRecord | None:
        """Make the record of a row; None where it has no value, and so is no observation."""
        if row.defect is not None:
            return RawRecord(row.raw, self.position(row), None, row.defect)
        cells = dict(zip(self._headers, row.cells, strict=True))
        if not self._has_value(cells):
            return None
        document = self.document(cells)
        if misfit := self._misfit(cells):
            document[MISFIT] = misfit
        return RawRecord(_encode(document), self.position(row), document, misfit)

    def _has_value(self, cells: Cells) -> bool:
        return any(
            not is_unknown(cells[header], self._unknown)
            and not (header in self._never_zero and not cells[header].strip("0.,$ "))
            for header in self._values
        )

    def document(self, cells: Cells) -> dict[str, Any]:
        """Put what is declared beside the cells; a proven comma only where a cell has a mark."""
        told = self._told
        if self._comma and any("," in cells[each] or "." in cells[each] for each in self._values):
            told = self._comma
        return {"row": cells, "declared": told} if told else {"row": cells}

    def _misfit(self, cells: Cells) -> str | None:
        """Say why a row does not fit its file."""
        for guard in self.guards:
            if contradiction := guard.defect(cells):
                return contradiction
        if self._symbol and (why := self._other_symbol(cells[self._symbol])):
            return f"{self._symbol}: {cells[self._symbol]!r} {why}; pair_symbols can be declared"
        for header in self._unsigned:
            if CURRENCY_SIGN.search(cells[header]):
                return (
                    f"{header}: {cells[header]!r} has a currency sign, and a number of coins has "
                    "none: the cells of the row may be shifted"
                )
        return self._unclear(cells)

    def _other_symbol(self, symbol: str) -> str | None:
        """Say why a symbol is none of the kind that the first rows have."""
        if names_future(symbol):
            return "names a future or a perpetual, whose price is not the coin's"
        if self._has_pairs:
            return "may be a pair against a stablecoin" if is_unclear_pair(symbol) else None
        if is_certain_pair(symbol):
            return "is a trading pair, and the first rows have none"
        return None

    def _unclear(self, cells: Cells) -> str | None:
        if self._mark_is_open:
            for header in self._values:
                cell = cells[header]
                if decimal_mark_is_unclear(cell, points=self._has_unclear_points):
                    mark = "comma" if "," in cell else "point"
                    return (
                        f"{header}: the {mark} in {cell!r} may be a decimal mark or not; decimal "
                        "can be declared"
                    )
        return None
