"""Make raw records of the rows of a file, each with the declaration that affects its meaning."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shared.model.records import VALUES, RawRecord
from worker.sources.csv.cells.headers import CURRENCY_SIGN, SUPPLIES
from worker.sources.csv.cells.numbers import has_ambiguous_mark, is_unknown, unknown_words
from worker.sources.csv.cells.pairs import is_ambiguous_pair, is_certain_pair, is_future
from worker.sources.csv.declaration import row_declaration
from worker.sources.csv.findings import Findings
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.kept_findings import row_meaning
from worker.sources.csv.questions.currency_columns import CurrencyGuard
from worker.sources.csv.questions.guards import Guard
from worker.sources.csv.reading.rows import Row
from worker.sources.csv.schema import NEVER_ZERO

_encode = msgspec.json.Encoder().encode

Cells = Mapping[str, str]

MISFIT = "misfit"
"""Member of a rejected row's document with the reason why the row does not fit its file."""


class RowRecords:
    """Makes records of the rows of a file.

    A readable row that does not fit its file gets a defect. It contradicts a declared constant (a
    `Guard`), its decimal mark is ambiguous, or its cells are shifted.
    """

    def __init__(self, first: FirstRows, findings: Findings) -> None:
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
        self._mark_is_unproven = findings.decimal is None and "decimal" not in declared
        self._has_ambiguous_points = findings.has_ambiguous_points
        self._symbol = columns.get("symbol") if "pair_symbols" not in declared else None
        self._has_pairs = findings.has_pairs
        proven = row_meaning(findings)
        has_comma = proven.pop("decimal", None) is not None
        self._declared = row_declaration({**declared, **proven})
        self._with_comma = {**(self._declared or {}), "decimal": "comma"} if has_comma else None

    def find_unsigned_supplies(self, rows: Sequence[Cells]) -> None:
        """Find the supply columns in which most of the first rows have no currency sign."""
        for header in self._supplies:
            filled = [row[header] for row in rows if row[header].strip()]
            signed = sum(bool(CURRENCY_SIGN.search(cell)) for cell in filled)
            if 2 * signed <= len(filled):
                self._unsigned = (*self._unsigned, header)

    def position(self, row: Row) -> str:
        return f"{self._file}, line {row.line}"

    def record(self, row: Row) -> RawRecord | None:
        """Make the record of a row; None if it has no value, and so is not an observation."""
        if row.defect is not None:
            return RawRecord(row.raw, self.position(row), None, row.defect)
        cells = dict(zip(self._headers, row.cells, strict=True))
        if not self._has_value(cells):
            return None
        document = self.document(cells)
        if misfit := self._find_misfit(cells):
            document[MISFIT] = misfit
        return RawRecord(_encode(document), self.position(row), document, misfit)

    def _has_value(self, cells: Cells) -> bool:
        return any(
            not is_unknown(cells[header], self._unknown)
            and not (header in self._never_zero and not cells[header].strip("0.,$ "))
            for header in self._values
        )

    def document(self, cells: Cells) -> dict[str, Any]:
        """Combine cells and declaration; a proven comma is added only if a value has a mark."""
        declared, values = self._declared, self._values
        if self._with_comma and any("," in cells[each] or "." in cells[each] for each in values):
            declared = self._with_comma
        return {"row": cells, "declared": declared} if declared else {"row": cells}

    def _find_misfit(self, cells: Cells) -> str | None:
        """Return the reason why a row does not fit its file."""
        for guard in self.guards:
            if contradiction := guard.defect(cells):
                return contradiction
        if self._symbol and (why := self._check_symbol(cells[self._symbol])):
            return f"{self._symbol}: {cells[self._symbol]!r} {why}; declare pair_symbols to read it"
        for header in self._unsigned:
            if CURRENCY_SIGN.search(cells[header]):
                return (
                    f"{header}: {cells[header]!r} has a currency sign, but counts coins; the cells "
                    "of the row may be shifted"
                )
        return self._check_decimal_mark(cells)

    def _check_symbol(self, symbol: str) -> str | None:
        """Return the reason why a symbol differs in kind from those of the first rows."""
        if is_future(symbol):
            return "names a future or a perpetual, whose price is not the coin's"
        if self._has_pairs:
            return "may be a pair against a stablecoin" if is_ambiguous_pair(symbol) else None
        if is_certain_pair(symbol):
            return "is a trading pair, and the first rows have none"
        return None

    def _check_decimal_mark(self, cells: Cells) -> str | None:
        if self._mark_is_unproven:
            for header in self._values:
                cell = cells[header]
                if has_ambiguous_mark(cell, points=self._has_ambiguous_points):
                    mark = "comma" if "," in cell else "point"
                    return (
                        f"{header}: the {mark} in {cell!r} may be a decimal mark or not; declare "
                        "decimal"
                    )
        return None
