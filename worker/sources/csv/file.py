"""An open CSV file: its columns, the findings of its first rows, and its rows as raw records."""

import os
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from shared.errors import SourceError
from shared.model.records import VALUES, RawRecord
from shared.model.runs import EMPTY_ANSWER
from worker.sources.csv.cells.columns import Question, find_columns, quoted_list
from worker.sources.csv.declaration import toml_text
from worker.sources.csv.findings import FIRST_ROWS, derive_findings, merge_ignored
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.kept_findings import find_changes, row_meaning
from worker.sources.csv.questions.contradictions import require_dollar_quotes, require_one_value
from worker.sources.csv.questions.currency_columns import find_currency_guards
from worker.sources.csv.questions.guards import find_guards
from worker.sources.csv.questions.no_dollar_price import require_dollars, require_some_dollars
from worker.sources.csv.reading.dialect import find_encoding, refuse_other_formats
from worker.sources.csv.reading.header import (
    Header,
    ask_about_duplicates,
    distinct_names,
    find_header,
)
from worker.sources.csv.reading.padding import min_row_length
from worker.sources.csv.reading.rows import LastLine, Position, RowReader
from worker.sources.csv.records import RowRecords

HEADER_BYTES = 1 << 16
"""Number of bytes in which encoding, delimiter and header are detected."""

REQUIRED_FIELDS = ("id", "symbol", "name", "observed_at", "currency", "price_usd")
"""Fields whose columns a row must have to be complete."""


class CsvFile:
    """An open file whose header and first rows have been read; positioned at its first row.

    `columns` maps fields to headers. `findings` describes what the first rows proved. `read_as` is
    the part of the findings that affects the meaning of rows; defaults are left out.

    Raises:
        SourceError: `undeclared`, with the declaration to write; `declaration` or `differing_rows`
            if the file contradicts its declaration or itself; `not_csv`, `no_header`.
    """

    def __init__(
        self,
        path: Path,
        file: BufferedReader,
        declared: Mapping[str, Any],
        last_line: LastLine,
        declaration: Path,
    ) -> None:
        self._last_line = last_line
        self._without_value = 0
        self._first_without_value: str | None = None
        start = file.read(HEADER_BYTES)
        file.seek(0)
        refuse_other_formats(start)
        encoding = find_encoding(start, declared.get("encoding"))
        text = start[encoding.mark :].decode(encoding.name, errors="replace")
        lines = text.split("\r" if encoding.ends_in_cr else "\n")
        if last_line is LastLine.GROWING or len(start) == HEADER_BYTES:
            del lines[-1]
        header = find_header(lines, declared)
        asked = [*([encoding.question] if encoding.question else []), *header.questions]
        if header.has_no_names:  # the names decide what else to ask
            raise _undeclared(asked, declared, declaration)
        self.reader = RowReader(file, encoding, header.delimiter)
        self.reader.skip(header.skip)
        self.headers = self._read_headers(header, declared, has_text=bool(text.strip("\r\n")))
        self._start = self.reader.position()
        columns = find_columns(self.headers, declared)
        self.columns = columns.headers
        numbered = self._read_first_rows(declared)
        name = os.fsencode(path.name).decode(errors="backslashreplace")
        rows = [row for _, row in numbered]
        first = FirstRows(name, header.delimiter, self.headers, columns, declared, rows)
        findings = derive_findings(first)
        self.findings = findings.described
        self.read_as = row_meaning(findings)
        self._declared = declared
        self._declaration = declaration
        self._records = RowRecords(first, findings)
        if self.headers:
            questions = asked + merge_ignored([*findings.questions, *self._duplicates])
            require_dollars(first)
            require_dollar_quotes(first)
            if questions:
                require_some_dollars(first, findings.questions)
                raise _undeclared(questions, declared, declaration)
            self._require_no_contradiction(first, [line for line, _ in numbered])
        self._go_to_start()

    def resume(self, position: Position, read_as: Mapping[str, Any]) -> bool:
        """Continue from the position of an earlier run; return whether that was possible.

        The file is read from its start if the part before the position has changed. It is also read
        from its start if added rows prove a decimal comma, because `read_as` had a point.

        Raises:
            SourceError: `undeclared`, if added rows contradict what the first rows proved.
        """
        if position.offset <= self._start.offset or not self.reader.go_to(position):
            self._go_to_start()
            return False
        questions = find_changes(read_as, self.read_as)
        if questions:
            raise _undeclared(questions, self._declared, self._declaration)
        if read_as != self.read_as:
            self._go_to_start()
            return False
        return True

    def records(self) -> Iterator[RawRecord]:
        """Yield the records from the current position on; none if the header is incomplete."""
        if not self.headers or self._header_is_last:
            return
        for row in self.reader.rows(len(self.headers), self._last_line):
            record = self._records.record(row)
            if record is None:
                self._without_value += 1
                self._first_without_value = self._first_without_value or self._records.position(row)
                continue
            yield record

    def take_without_value(self) -> tuple[int, str | None]:
        """Return the number of rows without a value since the last call, and the first of them.

        These rows are not observations, so no records are made of them.
        """
        taken = self._without_value, self._first_without_value
        self._without_value, self._first_without_value = 0, None
        return taken

    def left_out(self) -> list[str]:
        """Return the headers of columns that are not read."""
        read = set(self.columns.values())
        return [header for header in self.headers if header not in read]

    def is_done(self, size: int) -> bool:
        """Whether, after the last record, only a change to the file can add records."""
        if self._last_line is LastLine.GROWING:
            return bool(self.headers) and self.reader.offset >= size
        return self.reader.incomplete is None

    def require_complete(self, size_before: int, size: int) -> None:
        """Refuse a truncated file, or one with an incomplete last row; loaded rows stay.

        Called after the last record.

        Raises:
            SourceError: `cut_short`, `unfinished_row`.
        """
        if size < size_before:
            raise SourceError(
                f"was truncated from {size_before} to {size} bytes while it was read; the next run "
                "reads it again. To replace a file safely, write it under another name and rename "
                "it when it is complete",
                code="cut_short",
            )
        if self.reader.incomplete is not None:
            row = self.reader.incomplete
            raise SourceError(
                f"line {row.line}: the last row is incomplete ({row.defect}), and the file has not "
                "changed since the previous run; the rows before it are read. Complete the row "
                "and end it with a newline, or remove it",
                code="unfinished_row",
            )

    def refuse_empty(self) -> None:
        """Refuse a file without any record; called after the last row.

        Raises:
            SourceError: `empty_answer`.
        """
        values = [self.columns[field] for field in VALUES if field in self.columns]
        has_rows = self.reader.offset > self._start.offset
        why = "has no rows; complete the file"
        if has_rows:
            why = (
                f"no row has a value under {quoted_list(values)}; complete the file, or declare "
                "the columns that hold values under [columns]"
            )
        raise SourceError(why, code=EMPTY_ANSWER)

    def _read_headers(
        self, header: Header, declared: Mapping[str, Any], *, has_text: bool
    ) -> list[str]:
        self._header_is_last = False
        self._duplicates: list[Question] = []
        if header.names is not None and has_text:
            return list(header.names)
        before = self.reader.offset
        row = next(self.reader.rows(None, self._last_line), None)
        self._header_is_last = self.reader.offset == before
        if row is None:
            if self._last_line is LastLine.GROWING:
                return []
            state = "the header is incomplete" if has_text else "is empty"
            raise SourceError(state, code="no_header")
        if row.defect is not None:
            raise SourceError(f"line {row.line}: {row.defect}", code="not_csv")
        self._duplicates = ask_about_duplicates(row.cells, declared)
        return distinct_names(row.cells)

    def _require_no_contradiction(self, first: FirstRows, lines: Sequence[int]) -> None:
        self._records.guards = [*find_guards(first), *find_currency_guards(first)]
        self._records.find_unsigned_supplies(first.rows)
        documents = map(self._records.document, first.rows)
        require_one_value([*zip(lines, documents, strict=True)])

    def _go_to_start(self) -> None:
        if not self.reader.go_to(self._start):
            raise SourceError("was replaced while it was being opened", code="replaced")

    def _read_first_rows(self, declared: Mapping[str, Any]) -> list[tuple[int, dict[str, str]]]:
        """Read the first rows with their line numbers, and detect if short rows are padded."""
        if not self.headers or self._header_is_last:
            return []
        width = len(self.headers)
        rows = list(islice(self.reader.rows(width, self._last_line), FIRST_ROWS))
        required = [self.columns[field] for field in REQUIRED_FIELDS if field in self.columns]
        self.reader.min_cells = min_row_length(rows, self.headers, required, declared)
        if self.reader.min_cells is not None:
            self._go_to_start()
            rows = list(islice(self.reader.rows(width, self._last_line), FIRST_ROWS))
        return [
            (row.line, dict(zip(self.headers, row.cells, strict=True)))
            for row in rows
            if row.defect is None
        ]


def _describe(question: Question, declared: Mapping[str, Any]) -> str:
    if question.key != "ignore":
        return question.key
    ignored = declared.get("ignore", ())
    return f"the content of {quoted_list([each for each in question.value if each not in ignored])}"


def _undeclared(
    questions: list[Question], declared: Mapping[str, Any], declaration: Path
) -> SourceError:
    questions = sorted(questions, key=lambda asked: (None, "columns", "values").index(asked.table))
    keys = ", ".join(dict.fromkeys(_describe(each, declared) for each in questions))
    summary = f"the file requires a declaration of: {keys}"
    return SourceError(
        f"{summary}. Write these lines to {declaration} (or to a file for `worker import csv FILE "
        "--declare`), and fill in the empty values:\n\n"
        f"{toml_text(declared, questions)}\n",
        code="undeclared",
        brief=f"{summary}; `worker status` shows the lines to write",
    )
