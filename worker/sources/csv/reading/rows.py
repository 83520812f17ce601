"""Read the rows of an open CSV file one at a time, with the position after each.

Bytes are split into lines, and lines are decoded one by one for the standard library's reader.
Therefore the position is exact to the byte after every row, and bytes that cannot be decoded affect
only their own row.
"""

import csv
import hashlib
from collections import deque
from collections.abc import Iterator
from enum import Enum
from io import BufferedReader
from typing import NamedTuple

from shared.errors import SourceError
from worker.sources.csv.reading.dialect import Encoding, single_byte_encodings

MAX_LINE = 1 << 20
"""Bytes. A longer line is not a row of market data; the file may have no lines at all."""


class LastLine(Enum):
    """How a last line without a newline is treated."""

    COMPLETE = "as a row: the file is imported as it is"
    SETTLED = "as a row if it is complete: the file has not changed since the previous run"
    GROWING = "as possibly half a row: the file may still be written"


class Row(NamedTuple):
    """The cells of a row, the bytes that they were read from, and the line on which it begins.

    With a `defect` the cells must not be used.
    """

    cells: list[str]
    raw: bytes
    line: int
    defect: str | None


class Position(NamedTuple):
    """A position in a file, and the SHA-256 of all bytes before it."""

    offset: int
    line: int
    sha256: str


class RowReader:
    """Reads rows from the file's position, and counts bytes and lines.

    The position is the end of the last row returned. A last row without a newline is not counted,
    so that it is read again when the file has grown. `incomplete` is such a row in a settled file
    if it is not a valid row. `is_unended` is set once such a row was returned. Rows of at least
    `min_cells` cells are padded.
    """

    def __init__(self, file: BufferedReader, encoding: Encoding, delimiter: str) -> None:
        self.offset = 0
        self.line = 0
        self.digest = hashlib.sha256()
        self.incomplete: Row | None = None
        self.is_unended = False
        self.min_cells: int | None = None
        self._file = file
        self._advance(file.read(encoding.mark), 0)
        self._encoding = encoding
        self._delimiter = delimiter
        self._pushed_back: deque[bytes] = deque()
        self._lines: list[bytes] = []
        self._defect: str | None = None
        self._at_end = False

    def rows(self, width: int | None, last_line: LastLine) -> Iterator[Row]:
        """Yield rows up to the end of the file; with a width of None, rows of any width.

        Blank lines are skipped. If a row of several lines is broken, only its first line has the
        defect and the others are read again, so that a stray quote does not affect them.
        """
        reader = self._reader()
        while True:
            self._lines = []
            self._defect = None
            try:
                cells = self._pad(next(reader), width)
                defect = _width_defect(cells, width)
            except StopIteration:
                return
            except csv.Error as exc:
                if last_line is LastLine.GROWING and self._at_end:
                    return
                cells, defect = [], _explain(exc)
            if last_line is LastLine.GROWING and not self._is_terminated(self._lines[-1]):
                return
            if defect is not None:
                self._push_back()
                reader = self._reader()
            defect = self._defect or defect
            row = Row(cells, b"".join(self._lines), self.line + 1, defect)
            if self._is_terminated(row.raw):
                self._advance(row.raw, len(self._lines))
            elif last_line is LastLine.SETTLED and defect is not None:
                self.incomplete = row
                return
            else:
                self.is_unended = True
            if defect is not None or len(cells) == width or not _is_blank(cells):
                yield row

    def skip(self, lines: int) -> None:
        """Skip lines above the rows, up to a line without a newline."""
        for _ in range(lines):
            line = self._next_line()
            if not self._is_terminated(line):
                self._file.seek(self.offset)
                return
            self._advance(line, 1)

    def position(self) -> Position:
        return Position(self.offset, self.line, self.digest.hexdigest())

    def go_to(self, position: Position) -> bool:
        """Move to an earlier position; return False if the bytes before it have changed."""
        self._file.seek(0)
        digest = hashlib.sha256()
        left = position.offset
        while left and (piece := self._file.read(min(left, MAX_LINE))):
            digest.update(piece)
            left -= len(piece)
        if left or digest.hexdigest() != position.sha256:
            return False
        self.offset, self.line, self.digest = position.offset, position.line, digest
        self._pushed_back.clear()
        self.incomplete = None
        return True

    def _push_back(self) -> None:
        """Return all lines of a broken row but the first, to be read again."""
        if len(self._lines) > 1:
            self._pushed_back.extendleft(reversed(self._lines[1:]))
            del self._lines[1:]
            self._defect = None

    def _pad(self, cells: list[str], width: int | None) -> list[str]:
        """Add missing empty cells at the end of a row."""
        if width is None or self.min_cells is None or not self.min_cells <= len(cells) < width:
            return cells
        if not cells[-1].strip() or not self._is_terminated(self._lines[-1]):
            return cells
        return cells + [""] * (width - len(cells))

    def _advance(self, raw: bytes, lines: int) -> None:
        self.offset += len(raw)
        self.line += lines
        self.digest.update(raw)

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._decoded_lines(), delimiter=self._delimiter, strict=True)

    def _decoded_lines(self) -> Iterator[str]:
        """Decode lines one by one, on demand."""
        codec = self._encoding.name
        self._at_end = False
        while line := self._pushed_back.popleft() if self._pushed_back else self._next_line():
            self._lines.append(line)
            try:
                text = line.decode(codec)
            except UnicodeDecodeError as exc:
                text = line.decode(codec, errors="replace")
                likely, other = single_byte_encodings(line)
                self._defect = (
                    f"not {codec}: {exc.reason} at byte {exc.start + 1} of the line; declare the "
                    f'encoding: encoding = "{likely}", or "{other}"'
                )
            if "\0" in text:
                self._defect = "contains U+0000"
            # CRCRLF results from text with CRLF that a second program converts from LF to CRLF.
            yield f"{text[:-3]}\r\n" if text.endswith("\r\r\n") else text
        self._at_end = True

    def _next_line(self) -> bytes:
        line = self._read_to_cr() if self._encoding.ends_in_cr else self._file.readline(MAX_LINE)
        if self._encoding.name.startswith("utf-16"):
            line = self._complete_units(line)
        if len(line) >= MAX_LINE and not self._is_terminated(line):
            where = f"line {self.line + 1}"
            raise SourceError(f"{where}: longer than {MAX_LINE} bytes; not CSV", code="not_csv")
        return line

    def _read_to_cr(self) -> bytes:
        line = b""
        while len(line) < MAX_LINE and (ahead := self._file.peek()):
            end = ahead.find(b"\r") + 1
            line += self._file.read(end or len(ahead))
            if end:
                break
        return line

    def _complete_units(self, line: bytes) -> bytes:
        """Continue a UTF-16 line whose newline byte was half of another character."""
        while line and len(line) < MAX_LINE:
            if len(line) % 2:
                line += self._file.read(1)
            if self._is_terminated(line):
                break
            more = self._file.readline(MAX_LINE - len(line))
            if not more:
                break
            line += more
        return line

    def _is_terminated(self, line: bytes) -> bool:
        newline = self._encoding.newline
        return line.endswith(newline) and len(line) % len(newline) == 0


def _width_defect(cells: list[str], width: int | None) -> str | None:
    if width is None or len(cells) == width or _is_blank(cells):
        return None
    return f"{len(cells)} cells under {width} headers"


def _explain(error: csv.Error) -> str:
    """Describe a CSV error; for carriage returns the library's message is about opening files."""
    if "new-line character" in str(error):
        return "not CSV: a carriage return (CR) within the line, outside quotes"
    return f"not CSV: {error}"


def _is_blank(cells: list[str]) -> bool:
    return not "".join(cells).strip()
