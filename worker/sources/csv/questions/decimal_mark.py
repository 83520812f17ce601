"""Which decimal mark a file uses, as its own cells prove it; never guessed.

`0,39K`, `-2,68%`, `76.761,5` and `0,742` have a decimal comma, `8,746.6`, `$0.1680` and `1,234,567`
a point. `1,234` proves nothing: it is 1234 in one country and 1.234 in another. `1.234` proves
nothing either; where commas separate the cells it has a decimal point, since files with a decimal
comma have another delimiter as a rule. Elsewhere it is as unclear as `1,234`.

`12.30` proves a point where it is a value. In another column it may be a time, a day and a month,
or a version; there only a percentage or an amount that is clear by itself proves anything.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from worker.sources.csv.cells.numbers import SPACES, decimal_mark_is_unclear, split_scale

Mark = Literal["point", "comma"]


class Proof(NamedTuple):
    """A cell that can be read with one decimal mark alone."""

    mark: Mark
    header: str
    cell: str


def _proves(mark: str, other: str) -> re.Pattern[str]:
    return re.compile(
        "[+-]?(?:"
        rf"[0-9]*{mark}(?:[0-9]{{1,2}}|[0-9]{{4,}})"  # not three digits after it
        rf"|0*{mark}[0-9]+|[0-9]{{4,}}{mark}[0-9]+"  # no group of thousands before it
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
    """Tell the decimal mark that a cell must have; None where it proves nothing."""
    core, _ = split_scale(cell.strip().removesuffix("%"))
    return next((mark for mark, proves in _PROOFS.items() if proves.fullmatch(core)), None)


def find_proofs(
    rows: Iterable[Mapping[str, str]], values: Collection[str], others: Collection[str]
) -> Mapping[Mark, Proof]:
    """Find the first cell that proves each mark: a value, or a clear amount in another column."""
    found: dict[Mark, Proof] = {}
    for row in rows:
        for header in (*values, *others):
            cell = row[header]
            mark = mark_of(cell) if "," in cell or "." in cell else None
            if mark and mark not in found and (header in values or _is_clear_amount(cell)):
                found[mark] = Proof(mark, header, cell)
    return found


def _is_clear_amount(cell: str) -> bool:
    """Tell an amount or a percentage from other texts of digits, whatever its header is.

    A small letter of scale may be a unit: `12.5m` may be minutes.
    """
    text = cell.strip()
    core, scale = split_scale(text)
    if text.endswith("%") or "$" in text or (scale and text != text.lower()):
        return True
    return bool(_GROUPED.fullmatch(core) or _EXPONENT.fullmatch(core))


def find_unclear(
    rows: Iterable[Mapping[str, str]], headers: Sequence[str], *, points: bool
) -> tuple[str, str] | None:
    """Find the first header and cell under the headers that can be read with either mark."""
    for row in rows:
        for header in headers:
            if decimal_mark_is_unclear(row[header], points=points):
                return header, row[header]
    return None


def has_unclear_points(delimiter: str) -> bool:
    """Tell whether `1.234` may be 1234 in a file with this delimiter."""
    return delimiter != ","
