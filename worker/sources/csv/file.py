"""One open CSV file: what is known and declared of it, and its rows as raw records."""

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from shared.errors import SourceError
from shared.records import VALUES, RawRecord
from worker.sources.csv.columns import Question, find_columns
from worker.sources.csv.declaration import for_the_row, toml_text
from worker.sources.csv.dialect import find_delimiter, find_encoding
from worker.sources.csv.numbers import decimal_mark_is_unclear
from worker.sources.csv.rows import Ending, Position, Row, RowReader
from worker.sources.csv.sample import SAMPLE_ROWS, sample_questions

LONGEST_HEADER = 1 << 16
"""Bytes from which encoding and delimiter are told."""

_encode = msgspec.json.Encoder().encode


class CsvFile:
    """A file that is known well enough to be read; it stands at its first row.

    Raises:
        SourceError: `undeclared`, with the declaration to write; `not_csv`, `no_header`,
            `duplicate_header`.
    """

    def __init__(
        self,
        path: Path,
        file: BinaryIO,
        declared: Mapping[str, Any],
        ending: Ending,
        declaration: Path,
    ) -> None:
        self._name = os.fsencode(path.name).decode(errors="backslashreplace")
        self._ending = ending
        start = file.read(LONGEST_HEADER)
        file.seek(0)
        encoding = find_encoding(start, declared.get("encoding"))
        text = start[encoding.mark :].decode(encoding.name, errors="replace").lstrip("\r\n")
        delimiter, question = find_delimiter(text.partition("\n")[0], declared)
        self.reader = RowReader(file, encoding, delimiter)
        self.headers = self._read_headers(has_text=bool(text))
        self._start = self.reader.position()
        columns = find_columns(self.headers, declared)
        questions = [
            *(asked for asked in (encoding.question, question) if asked),
            *columns.questions,
            *sample_questions(columns.headers, declared, self._sample(), delimiter),
        ]
        if questions and self.headers:
            raise _undeclared(questions, declared, declaration)
        self._go_to_start()
        self._told = for_the_row(declared)
        self._unclear = (
            [columns.headers[field] for field in VALUES if field in columns.headers]
            if delimiter != "," and "decimal" not in declared
            else []
        )

    def resume(self, position: Position) -> None:
        """Go on after what an earlier run has read; from the start where that has changed."""
        if position.offset < self._start.offset or not self.reader.go_to(position):
            self._go_to_start()

    def records(self) -> Iterator[RawRecord]:
        """Yield what is there from here on; nothing while the header is not whole."""
        if not self.headers or self._header_is_last:
            return
        for row in self.reader.rows(len(self.headers), self._ending):
            yield self._record(row)

    def is_done(self, size: int) -> bool:
        """Tell, after the last record, whether more can come only of a change to the file."""
        if self._ending is Ending.GROWING:
            return bool(self.headers) and self.reader.offset >= size
        return self.reader.unfinished is None

    def require_whole(self, size_before: int, size: int) -> None:
        """Refuse, after the last record, a file that lacks something; what was read is kept.

        Raises:
            SourceError: `cut_short`, `unfinished_row`.
        """
        if size < size_before:
            raise SourceError(
                f"was cut short while it was read, from {size_before} to {size} bytes; the next "
                "run reads it again. Who replaces a file should write it under another name, and "
                "rename it once it is whole",
                code="cut_short",
            )
        if self.reader.unfinished is not None:
            row = self.reader.unfinished
            raise SourceError(
                f"line {row.line}: its last row is not whole ({row.defect}), and nothing was added "
                "since the run before; the rows before it are read. Write the rest of it and a "
                "newline, or take it out",
                code="unfinished_row",
            )

    def _record(self, row: Row) -> RawRecord:
        position = f"{self._name}, line {row.line}"
        if row.defect is not None:
            return RawRecord(row.raw, position, None, row.defect)
        cells = dict(zip(self.headers, row.cells, strict=True))
        document = {"row": cells, "declared": self._told} if self._told else {"row": cells}
        unclear = [header for header in self._unclear if decimal_mark_is_unclear(cells[header])]
        defect = (
            f"{unclear[0]}: the comma in {cells[unclear[0]]!r} may be a decimal mark or not; "
            "decimal can be declared"
            if unclear
            else None
        )
        return RawRecord(_encode(document), position, document, defect)

    def _read_headers(self, *, has_text: bool) -> list[str]:
        before = self.reader.offset
        row = next(self.reader.rows(None, self._ending), None)
        self._header_is_last = self.reader.offset == before
        if row is None:
            if self._ending is Ending.GROWING:
                return []
            state = "its header is cut off" if has_text else "is empty"
            raise SourceError(state, code="no_header")
        if row.defect is not None:
            raise SourceError(f"line {row.line}: {row.defect}", code="not_csv")
        twice = sorted({header for header in row.cells if row.cells.count(header) > 1})
        if twice:
            raise SourceError(
                f"has several columns under one name: {', '.join(map(repr, twice))}",
                code="duplicate_header",
            )
        return row.cells

    def _go_to_start(self) -> None:
        if not self.reader.go_to(self._start):
            raise SourceError("was replaced while it was being opened", code="replaced")

    def _sample(self) -> list[dict[str, str]]:
        if not self.headers or self._header_is_last:
            return []
        rows = islice(self.reader.rows(len(self.headers), self._ending), SAMPLE_ROWS)
        return [
            dict(zip(self.headers, row.cells, strict=True)) for row in rows if row.defect is None
        ]


def _undeclared(
    questions: list[Question], declared: Mapping[str, Any], declaration: Path
) -> SourceError:
    questions = sorted(questions, key=lambda asked: (None, "columns", "values").index(asked.table))
    keys = ", ".join(dict.fromkeys(question.key for question in questions))
    return SourceError(
        f"neither its header nor a declaration says: {keys}. What to write to {declaration} (or to "
        "a file for `worker import csv FILE --declare`), with a value for each that is empty:\n\n"
        f"{toml_text(declared, questions)}\n",
        code="undeclared",
    )
