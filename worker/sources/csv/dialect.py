"""How the bytes of a CSV file become cells: its encoding and its delimiter."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from worker.sources.csv.columns import Question, is_known

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1", "windows-1252")
BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding, and how many bytes of byte order mark come before the text."""

    name: str
    mark: int = 0
    question: Question | None = None

    @property
    def newline(self) -> bytes:
        return "\n".encode(self.name)


def find_encoding(start: bytes, declared: str | None) -> Encoding:
    """Tell the encoding from the beginning of a file, up to the end of its header at least.

    A byte order mark settles it; without one it is what is declared, else UTF-8. Where the header
    is not UTF-8, the likeliest other encoding is asked for, and taken to see what else is to ask.
    """
    for mark, name in BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return Encoding(name, len(mark))
    if declared:
        return Encoding(declared)
    header = start.partition(b"\n")[0]
    if b"\0" in header[:2]:
        name = "utf-16-be" if header[:1] == b"\0" else "utf-16-le"
    else:
        try:
            header.decode()
        except UnicodeDecodeError:
            name = "latin-1"
        else:
            return Encoding("utf-8")
    why = 'if that is what it is: the header is not UTF-8; or "windows-1252"'
    return Encoding(name, question=Question(None, "encoding", name, why))


def find_delimiter(header: str, declared: Mapping[str, str]) -> tuple[str, Question | None]:
    """Tell the delimiter from the header: what parts it into known names, then into most cells."""
    if "delimiter" in declared:
        return declared["delimiter"], None
    scores = {}
    for delimiter in DELIMITERS:
        cells = _cells(header, delimiter)
        scores[delimiter] = (sum(map(is_known, cells)), len(cells))
    best = max(scores.values())
    likely = [delimiter for delimiter, score in scores.items() if score == best]
    if best[1] == 1 or len(likely) == 1:
        return likely[0], None
    why = f"which of {', '.join(map(repr, likely))} parts the header {header.strip()[:80]!r}"
    return likely[0], Question(None, "delimiter", likely[0], why)


def _cells(header: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(header), delimiter=delimiter), [])
    except csv.Error:
        return [header]
