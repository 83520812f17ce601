"""Detect the encoding and the delimiter of a CSV file, and refuse other formats."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import SourceError
from worker.sources.csv.cells.columns import Question
from worker.sources.csv.cells.headers import is_known_header

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1", "windows-1252")
BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}

_FORMATS = {
    b"\x1f\x8b": "compressed with gzip; unpack it",
    b"PK\x03\x04": "a zip archive, or a workbook such as .xlsx; unpack it, or export it as CSV",
    b"\xfd7zXZ\x00": "compressed with xz; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls); export it as CSV",
    b"PAR1\x15": "a Parquet file; export it as CSV",
    b"SQLite format 3\x00": "an SQLite database; export a table as CSV",
    b"%PDF-": "a PDF; export the table as CSV",
}
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")
_WEB_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)\b", re.IGNORECASE)
_JSON = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{\s*(?:\"|\})")


def refuse_other_formats(start: bytes) -> None:
    """Refuse a file whose first bytes are those of another format.

    Raises:
        SourceError: `not_csv`.
    """
    found = next((name for magic, name in _FORMATS.items() if start.startswith(magic)), None)
    if _BZIP2.match(start):
        found = "compressed with bzip2; unpack it"
    elif _WEB_PAGE.match(start):
        found = "a web page (HTML); the download may have failed"
    elif _JSON.match(start):
        found = "JSON; export it as CSV"
    if found:
        raise SourceError(f"is not a CSV file but {found}", code="not_csv")


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding, and the number of bytes of its byte order mark.

    With `ends_in_cr`, lines end in CR alone, as old Macintosh programs wrote them.
    """

    name: str
    mark: int = 0
    question: Question | None = None

    ends_in_cr: bool = False

    @property
    def newline(self) -> bytes:
        return b"\r" if self.ends_in_cr else "\n".encode(self.name)


def find_encoding(start: bytes, declared: str | None) -> Encoding:
    """Detect the encoding from the beginning of a file, which must include the header.

    A byte order mark takes precedence over the declaration; without either it is UTF-8. If the
    header is not UTF-8, the likeliest encoding becomes a question, and other questions assume it.
    """
    for mark, name in BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return Encoding(name, len(mark), ends_in_cr=name == "utf-8" and _ends_in_cr(start))
    if declared:
        is_wide = declared.startswith("utf-16")
        return Encoding(declared, ends_in_cr=not is_wide and _ends_in_cr(start))
    ends_in_cr = _ends_in_cr(start)
    header = start.partition(b"\r" if ends_in_cr else b"\n")[0]
    if b"\0" in header[:2]:
        name, other = ("utf-16-be" if header[:1] == b"\0" else "utf-16-le"), "windows-1252"
    else:
        try:
            header.decode()
        except UnicodeDecodeError:
            name, other = single_byte_encodings(header)
        else:
            return Encoding("utf-8", ends_in_cr=ends_in_cr)
    why = f'the header is not UTF-8; confirm this encoding, or write "{other}"'
    question = Question(None, "encoding", name, why)
    return Encoding(name, question=question, ends_in_cr=ends_in_cr)


def single_byte_encodings(text: bytes) -> tuple[str, str]:
    """Return the likelier single-byte encoding of bytes that are not UTF-8, then the other.

    0x80 to 0x9f are letters and signs in windows-1252 (`€`), and control characters in Latin-1.
    """
    names = ("latin-1", "windows-1252")
    has_signs = any(0x80 <= byte <= 0x9F for byte in text)  # noqa: PLR2004 -- the range above
    return (names[1], names[0]) if has_signs else names


def _ends_in_cr(start: bytes) -> bool:
    return b"\n" not in start and bool(re.search(rb"\r[^\r]", start))


def find_delimiter(header: str, declared: Mapping[str, str]) -> tuple[str, Question | None]:
    """Find the delimiter with the most known names in the header, then with the most cells."""
    if "delimiter" in declared:
        return declared["delimiter"], None
    scores = {}
    for delimiter in DELIMITERS:
        cells = split_cells(header, delimiter)
        scores[delimiter] = (sum(map(is_known_header, cells)), len(cells))
    best = max(scores.values())
    likely = [delimiter for delimiter, score in scores.items() if score == best]
    if best[1] == 1 or len(likely) == 1:
        return likely[0], None
    why = f"{', '.join(map(repr, likely))} split the header {header.strip()[:80]!r} equally well"
    return likely[0], Question(None, "delimiter", likely[0], why)


def split_cells(header: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(header), delimiter=delimiter), [])
    except csv.Error:
        return [header]
