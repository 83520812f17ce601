"""The rows of an open CSV file, one at a time, and how far they have been read.

Bytes are cut into lines, lines are decoded one by one and handed to the standard library's reader,
so that the position in the file is known to the byte after every row, and bytes that do not decode
spoil their own row alone.
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
"""A longer line, in bytes, is no row of market data; it may be a file without lines at all."""


class Ending(Enum):
    """What a last line without a newline is."""

    WHOLE = "the end of the file is the end of the row"
    SETTLED = "a row if it is whole: the file has not changed since the run before"
    GROWING = "half a row, perhaps: whoever writes the file may not be done"


class Row(NamedTuple):
    """One row: its cells as read, the bytes they come from, and the line it begins on.

    With a `defect` the cells are of no use.
    """

    cells: list[str]
    raw: bytes
    line: int
    defect: str | None


class Position(NamedTuple):
    """How far a file has been read, and the SHA-256 of all of it up to here."""

    offset: int
    line: int
    sha256: str


class RowReader:
    """Reads rows from where the file stands, and knows the way it has come.

    Its position is the end of the last row returned, but for a last row without a newline: that is
    not behind us, so that it is read again when the file has grown. `unfinished` is one that is not
    whole in a file that has settled; `is_unended` says that one was returned as a row.
    """

    def __init__(self, file: BufferedReader, encoding: Encoding, delimiter: str) -> None:
        self.offset = 0
        self.line = 0
        self.digest = hashlib.sha256()
        self.unfinished: Row | None = None
        self.is_unended = False
        self.shortest: int | None = None
        self._file = file
        self._pass(file.read(encoding.mark), 0)
        self._encoding = encoding
        self._delimiter = delimiter
        self._pushed: deque[bytes] = deque()
        self._taken: list[bytes] = []
        self._fault: str | None = None
        self._ended = False

    def rows(self, width: int | None, ending: Ending) -> Iterator[Row]:
        """Yield rows up to the end of the file; None for the width takes rows of any.

        Blank lines are no rows. Where a row of several lines turns out broken, only its first line
        is the defect, and the others are read anew: a stray quote must not take its neighbours.
        """
        reader = self._reader()
        while True:
            self._taken = []
            self._fault = None
            try:
                cells = self._padded(next(reader), width)
                defect = _misfit(cells, width)
            except StopIteration:
                return
            except csv.Error as exc:
                if ending is Ending.GROWING and self._ended:
                    return
                cells, defect = [], _say(exc)
            if ending is Ending.GROWING and not self._is_terminated(self._taken[-1]):
                return
            if defect is not None:
                self._push_back()
                reader = self._reader()
            defect = self._fault or defect
            row = Row(cells, b"".join(self._taken), self.line + 1, defect)
            if self._is_terminated(row.raw):
                self._pass(row.raw, len(self._taken))
            elif ending is Ending.SETTLED and defect is not None:
                self.unfinished = row
                return
            else:
                self.is_unended = True
            if defect is not None or len(cells) == width or not _is_blank(cells):
                yield row

    def skip(self, lines: int) -> None:
        """Pass lines that are no rows; one that is not whole yet is left."""
        for _ in range(lines):
            line = self._next_line()
            if not self._is_terminated(line):
                self._file.seek(self.offset)
                return
            self._pass(line, 1)

    def position(self) -> Position:
        return Position(self.offset, self.line, self.digest.hexdigest())

    def go_to(self, position: Position) -> bool:
        """Stand at an earlier position, if what comes before it is what was read then."""
        self._file.seek(0)
        digest = hashlib.sha256()
        left = position.offset
        while left and (piece := self._file.read(min(left, MAX_LINE))):
            digest.update(piece)
            left -= len(piece)
        if left or digest.hexdigest() != position.sha256:
            return False
        self.offset, self.line, self.digest = position.offset, position.line, digest
        self._pushed.clear()
        self.unfinished = None
        return True

    def _push_back(self) -> None:
        """Leave all but the first line of a broken row to be read again."""
        if len(self._taken) > 1:
            self._pushed.extendleft(reversed(self._taken[1:]))
            del self._taken[1:]
            self._fault = None

    def _padded(self, cells: list[str], width: int | None) -> list[str]:
        """Add the empty cells that a whole row lacks at its end."""
        if width is None or self.shortest is None or not self.shortest <= len(cells) < width:
            return cells
        if not cells[-1].strip() or not self._is_terminated(self._taken[-1]):
            return cells
        return cells + [""] * (width - len(cells))

    def _pass(self, raw: bytes, lines: int) -> None:
        self.offset += len(raw)
        self.line += lines
        self.digest.update(raw)

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._texts(), delimiter=self._delimiter, strict=True)

    def _texts(self) -> Iterator[str]:
        """Decode line after line, as the reader asks for them."""
        codec = self._encoding.name
        self._ended = False
        while line := self._pushed.popleft() if self._pushed else self._next_line():
            self._taken.append(line)
            try:
                text = line.decode(codec)
            except UnicodeDecodeError as exc:
                text = line.decode(codec, errors="replace")
                likely, other = single_byte_encodings(line)
                self._fault = (
                    f"not {codec}: {exc.reason} at byte {exc.start + 1} of the line; "
                    f'an encoding can be declared: encoding = "{likely}", or "{other}"'
                )
            if "\0" in text:
                self._fault = "holds U+0000"
            # A program that writes CRLF through another that turns LF into CRLF ends in CRCRLF.
            yield f"{text[:-3]}\r\n" if text.endswith("\r\r\n") else text
        self._ended = True

    def _next_line(self) -> bytes:
        line = self._read_to_cr() if self._encoding.ends_in_cr else self._file.readline(MAX_LINE)
        if self._encoding.name.startswith("utf-16"):
            line = self._complete_units(line)
        if len(line) >= MAX_LINE and not self._is_terminated(line):
            where = f"line {self.line + 1}"
            raise SourceError(f"{where}: longer than {MAX_LINE} bytes, not CSV", code="not_csv")
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
        """Read on from a byte that is a newline only as half of a UTF-16 unit."""
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


def _misfit(cells: list[str], width: int | None) -> str | None:
    if width is None or len(cells) == width or _is_blank(cells):
        return None
    return f"{len(cells)} cells under {width} headers"


def _say(error: csv.Error) -> str:
    """Say what is wrong with a row; of carriage returns the library tells how to open a file."""
    if "new-line character" in str(error):
        return "not CSV: a carriage return (CR) within the line, outside quotes"
    return f"not CSV: {error}"


def _is_blank(cells: list[str]) -> bool:
    return not "".join(cells).strip()
