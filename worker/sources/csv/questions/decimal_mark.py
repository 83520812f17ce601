"""Find the decimal mark that a file's own cells prove; it is never guessed.

`0,39K`, `-2,68%`, `76.761,5` and `0,742` prove a decimal comma. `8,746.6`, `$0.1680` and
`1,234,567` prove a point. `1,234` proves nothing: it is 1234 in some countries and 1.234 in
others. `1.234` proves nothing either. It is read with a point if the delimiter is a comma, because
files with a decimal comma normally have another delimiter. With other delimiters it is ambiguous.

`12.30` in a column of values proves a point. In another column it may be a time, a date or a
version. There, only a percentage or an unambiguous amount proves a mark.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from worker.sources.csv.cells.numbers import SPACES, has_ambiguous_mark, split_scale

Mark = Literal["point", "comma"]


class Proof(NamedTuple):
    """A cell that is readable with one decimal mark only."""

    mark: Mark
    header: str
    cell: str


def _proves(mark: str, other: str) -> re.Pattern[str]:
    return re.compile(
        "[+-]?(?:"
        rf"[0-9]*{mark}(?:[0-9]{{1,2}}|[0-9]{{4,}})"  # the digits after it are not a group
        rf"|0*{mark}[0-9]+|[0-9]{{4,}}{mark}[0-9]+"  # the digits before it are not a group
        rf"|[0-9]+{mark}[0-9]+[eE][+-]?[0-9]+"
        rf"|[1-9][0-9]{{0,2}}(?:[{other}{SPACES}][0-9]{{3}})+{mark}[0-9]*"
        rf"|[1-9][0-9]{{0,2}}(?:{other}[0-9]{{3}}){{2,}}"
        ")"
    )


_GROUPED = re.compile(rf"[+-]?[1-9][0-9]{{0,2}}(?:[.,{SPACES}][0-9]{{3}})+(?:[.,][0-9]*)?")
_EXPONENT = re.compile(r"[+-]?[0-9.,]+[eE][+-]?[0-9]+")

_PROOFS: Mapping[Mark, re.Pattern[str]] = {
    "point": _proves(r"\.", ","),
    "comma": _proves(",", r"\."),
}


def mark_of(cell: str) -> Mark | None:
    """Return the decimal mark that a cell proves."""
    core, _ = split_scale(cell.strip().removesuffix("%"))
    return next((mark for mark, proves in _PROOFS.items() if proves.fullmatch(core)), None)


def find_proofs(
    rows: Iterable[Mapping[str, str]], values: Collection[str], others: Collection[str]
) -> Mapping[Mark, Proof]:
    """Map each proven mark to its first proof: a value, or a clear amount in another column."""
    found: dict[Mark, Proof] = {}
    for row in rows:
        for header in (*values, *others):
            cell = row[header]
            mark = mark_of(cell) if "," in cell or "." in cell else None
            if mark and mark not in found and (header in values or _is_clear_amount(cell)):
                found[mark] = Proof(mark, header, cell)
    return found


def _is_clear_amount(cell: str) -> bool:
    """Whether a text is an amount or a percentage under any header.

    A lower-case scale is excluded, because it may be a unit: `12.5m` may mean minutes.
    """
    text = cell.strip()
    core, scale = split_scale(text)
    if text.endswith("%") or "$" in text or (scale and text != text.lower()):
        return True
    return bool(_GROUPED.fullmatch(core) or _EXPONENT.fullmatch(core))


def find_ambiguous(
    rows: Iterable[Mapping[str, str]], headers: Sequence[str], *, points: bool
) -> tuple[str, str] | None:
    """Return header and cell of the first value that is readable with either mark."""
    for row in rows:
        for header in headers:
            if has_ambiguous_mark(row[header], points=points):
                return header, row[header]
    return None


def has_ambiguous_points(delimiter: str) -> bool:
    """Whether `1.234` may be 1234 in a file with this delimiter."""
    return delimiter != ","
