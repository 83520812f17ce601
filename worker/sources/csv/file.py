"""One open CSV file: what is known and declared of it, and its rows as raw records."""

import os
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from shared.errors import SourceError
from shared.model.records import VALUES, RawRecord
from shared.model.runs import EMPTY_ANSWER
from worker.sources.csv.cells.columns import Question, find_columns, listed
from worker.sources.csv.declaration import toml_text
from worker.sources.csv.first_rows import FirstRows
from worker.sources.csv.meaning import find_changes, row_meaning
from worker.sources.csv.questions.contradictions import require_one_value, require_quotes_in_dollars
from worker.sources.csv.questions.currency_columns import find_currency_guards
from worker.sources.csv.questions.dead_ends import require_dollars, require_some_dollars
from worker.sources.csv.questions.guards import find_guards
from worker.sources.csv.reading.dialect import find_encoding, require_text_in_rows
from worker.sources.csv.reading.heading import Heading, ask_of_doubles, distinct_names, find_heading
from worker.sources.csv.reading.padding import shortest_row
from worker.sources.csv.reading.rows import Ending, Position, RowReader
from worker.sources.csv.records import RowRecords
from worker.sources.csv.sample import SAMPLE_ROWS, merge_ignored, read_sample

LONGEST_HEADER = 1 << 16
"""Bytes from which encoding, delimiter and the place of the header are told."""

NEEDED = ("id", "symbol", "name", "observed_at", "currency", "price_usd")
"""Fields without whose columns a row is not whole."""


class CsvFile:
    """A file that is known well enough to be read; it stands at its first row.

    `columns` has the header of each field; `settled` says what the file's own cells proved.
    `read_as` has what of it decides what a row means; a default is left out.

    Raises:
        SourceError: `undeclared`, with the declaration to write; `declaration` or `differing_rows`,
            where the file contradicts its declaration or itself; `not_csv`, `no_header`.
    """

    def __init__(
        self,
        path: Path,
        file: BufferedReader,
        declared: Mapping[str, Any],
        ending: Ending,
        declaration: Path,
    ) -> None:
        self._ending = ending
        self._without_value = 0
        self._first_without_value: str | None = None
        start = file.read(LONGEST_HEADER)
        file.seek(0)
        require_text_in_rows(start)
        encoding = find_encoding(start, declared.get("encoding"))
        text = start[encoding.mark :].decode(encoding.name, errors="replace")
        lines = text.split("\r" if encoding.ends_in_cr else "\n")
        if ending is Ending.GROWING or len(start) == LONGEST_HEADER:
            del lines[-1]
        heading = find_heading(lines, declared)
        self.reader = RowReader(file, encoding, heading.delimiter)
        self.reader.skip(heading.skip)
        self.headers = self._read_headers(heading, declared, has_text=bool(text.strip("\r\n")))
        self._start = self.reader.position()
        columns = find_columns(self.headers, declared)
        self.columns = columns.headers
        first = self._first_rows(declared)
        rows = [row for _, row in first]
        name = os.fsencode(path.name).decode(errors="backslashreplace")
        known = FirstRows(name, heading.delimiter, self.headers, columns, declared, rows)
        sample = read_sample(known)
        self.settled = sample.settled
        self.read_as = row_meaning(sample)
        self._declared = declared
        self._declaration = declaration
        self._records = RowRecords(known, sample)
        if self.headers:
            asked = [*([encoding.question] if encoding.question else []), *heading.questions]
            asked += merge_ignored([*sample.questions, *self._doubles])
            if asked:
                require_dollars(known)
                require_some_dollars(known, sample.questions)
                raise _undeclared(asked, declared, declaration)
            self._require_no_contradiction(known, [line for line, _ in first])
        self._go_to_start()

    def resume(self, position: Position, read_as: Mapping[str, Any]) -> bool:
        """Go on after what an earlier run has read as `read_as`; return whether that was possible.

        The file is read from its start where what was read has changed, and where rows added since
        prove a decimal comma: the rows before them were read with a point.

        Raises:
            SourceError: `undeclared`, where rows added since contradict what the first rows proved.
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
        """Yield what is there from here on; nothing while the header is not whole."""
        if not self.headers or self._header_is_last:
            return
        for row in self.reader.rows(len(self.headers), self._ending):
            record = self._records.record(row)
            if record is None:
                self._without_value += 1
                self._first_without_value = self._first_without_value or self._records.position(row)
                continue
            yield record

    def take_without_value(self) -> tuple[int, str | None]:
        """Count the rows without any value since the last time; also say where the first is.

        They are no observations, and so no records.
        """
        taken = self._without_value, self._first_without_value
        self._without_value, self._first_without_value = 0, None
        return taken

    def left_out(self) -> list[str]:
        """Name the columns that are not read."""
        read = set(self.columns.values())
        return [header for header in self.headers if header not in read]

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

    def refuse_empty(self) -> None:
        """Refuse, after the last row, a file of which no row was a record.

        Raises:
            SourceError: `empty_answer`.
        """
        values = [self.columns[field] for field in VALUES if field in self.columns]
        has_rows = self.reader.offset > self._start.offset
        held, advice = "has no row", "complete the file"
        if has_rows:
            held = f"no row has a value under {listed(values)}"
            advice = f"{advice}, or declare under [columns] which columns hold values"
        raise SourceError(f"{held}, so there is nothing to read; {advice}", code=EMPTY_ANSWER)

    def _read_headers(
        self, heading: Heading, declared: Mapping[str, Any], *, has_text: bool
    ) -> list[str]:
        self._header_is_last = False
        self._doubles: list[Question] = []
        if heading.names is not None and has_text:
            return list(heading.names)
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
        self._doubles = ask_of_doubles(row.cells, declared)
        return distinct_names(row.cells)

    def _require_no_contradiction(self, first: FirstRows, lines: Sequence[int]) -> None:
        require_dollars(first)
        require_quotes_in_dollars(first)
        self._records.guards = [*find_guards(first), *find_currency_guards(first)]
        self._records.compare_supplies(first.rows)
        documents = map(self._records.document, first.rows)
        require_one_value([*zip(lines, documents, strict=True)])

    def _go_to_start(self) -> None:
        if not self.reader.go_to(self._start):
            raise SourceError("was replaced while it was being opened", code="replaced")

    def _first_rows(self, declared: Mapping[str, Any]) -> list[tuple[int, dict[str, str]]]:
        """Read the first rows, each with its line; learn from them which short ones are whole."""
        if not self.headers or self._header_is_last:
            return []
        width = len(self.headers)
        rows = list(islice(self.reader.rows(width, self._ending), SAMPLE_ROWS))
        needed = [self.columns[field] for field in NEEDED if field in self.columns]
        self.reader.shortest = shortest_row(rows, self.headers, needed, declared)
        if self.reader.shortest is not None:
            self._go_to_start()
            rows = list(islice(self.reader.rows(width, self._ending), SAMPLE_ROWS))
        return [
            (row.line, dict(zip(self.headers, row.cells, strict=True)))
            for row in rows
            if row.defect is None
        ]


def _open_point(question: Question, declared: Mapping[str, Any]) -> str:
    if question.key != "ignore":
        return question.key
    ignored = declared.get("ignore", ())
    return f"what {listed([each for each in question.value if each not in ignored])} holds"


def _undeclared(
    questions: list[Question], declared: Mapping[str, Any], declaration: Path
) -> SourceError:
    questions = sorted(questions, key=lambda asked: (None, "columns", "values").index(asked.table))
    keys = ", ".join(dict.fromkeys(_open_point(each, declared) for each in questions))
    said = f"neither its header nor a declaration says: {keys}"
    return SourceError(
        f"{said}. What to write to {declaration} (or to a file for `worker import csv FILE "
        "--declare`), with a value for each that is empty:\n\n"
        f"{toml_text(declared, questions)}\n",
        code="undeclared",
        brief=f"{said}; `worker status` shows what to write",
    )
