"""Numbers as people's exports write them, read with every digit they have.

`8,746.6`, `$1.38M`, `2.84909E+11` and `1 234` are numbers; `NaN`, `-`, `N/A`, `null` and an empty
cell stand for a value that is not known; a percentage is not an amount. A footnote mark after a
number (`38,532,538,149*`) is no part of it. The decimal mark is a point unless a comma is declared,
or proven by the file (`decimal_mark.py`).
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from worker.sources.csv.cells.names import CURRENCY_SIGN
from worker.sources.fields import Amount, brief

UNKNOWN = frozenset(
    {"", "-", "--", "\u2013", "\u2014", "?", "n/a", "#n/a", "na", "nan", "null", "none"}
)
"""What exports write where they have no value, in lower case."""

SCALES = {"k": "E3", "m": "E6", "b": "E9", "t": "E12"}
SPACES = "'\u2019 \u00a0\u2009\u202f"
"""What separates thousands whatever the decimal mark is."""

_EXPONENT = r"(?:[eE][+-]?[0-9]{1,4})?"
_PLAIN = {
    mark: re.compile(rf"[+-]?(?:[0-9]+(?:{mark}[0-9]*)?|{mark}[0-9]+){_EXPONENT}")
    for mark in (r"\.", ",")
}
# A group after a leading 0 is never thousands: `0,742` has a decimal mark, whatever is declared.
_GROUPED = {
    mark: re.compile(
        rf"[+-]?[1-9][0-9]{{0,2}}"
        rf"(?:([{other}{SPACES}])[0-9]{{3}})(?:\1[0-9]{{3}})*(?:{mark}[0-9]*)?"
    )
    for mark, other in ((r"\.", ","), (",", "."))
}
_PLAIN_POINT = _PLAIN[r"\."].fullmatch
_CLEARLY_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+\.[0-9]*|(?:,[0-9]{3}){2,})")
_ONE_GROUP_BY_POINT = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}")
_FOOTNOTE = re.compile(r"\s*(?:[*\u2020\u2021\u00a7\u00b9\u00b2\u00b3]+|\[[0-9a-z]{1,2}\])\Z")


class NumberCell(Amount):
    """An amount from the text of a cell. With `comma`, that is its decimal mark.

    `unknown` are further words for a value that is not known, as `unknown_words` gives them. A
    number that `counts_coins` has no currency sign.
    """

    def __init__(
        self,
        *,
        comma: bool = False,
        zero_is_unknown: bool = False,
        unknown: frozenset[str] = frozenset(),
        counts_coins: bool = False,
        is_optional: bool = False,
    ) -> None:
        super().__init__(
            zero_is_unknown=zero_is_unknown, is_optional=is_optional, load_default=None
        )
        self.comma = comma
        self.unknown = unknown
        self.counts_coins = counts_coins

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Decimal | None:
        try:
            number = parse_number(value, comma=self.comma, unknown=self.unknown)
        except (ValueError, TypeError, AttributeError):
            raise ValidationError(f"not a number: {brief(value)}{self._hint(value)}") from None
        if number is None:
            return None
        if self.counts_coins and CURRENCY_SIGN.search(value):
            raise ValidationError(f"a currency sign in a number of coins: {brief(value)}")
        return super()._deserialize(number, attr, data, **kwargs)

    def _hint(self, value: Any) -> str:
        """Name the declaration with which the cell would be a number."""
        try:
            parse_number(value, comma=not self.comma)
        except (ValueError, TypeError, AttributeError):
            return ""
        mark = "point" if self.comma else "comma"
        return f'; if the {mark} is the decimal mark, declare decimal = "{mark}"'


def parse_number(
    text: str, *, comma: bool = False, unknown: frozenset[str] = frozenset()
) -> Decimal | None:
    """Read a number exactly; None where the cell says that it is not known.

    Raises:
        ValueError: for anything else.
    """
    if not comma and _PLAIN_POINT(text):
        return Decimal(text)
    if is_unknown(text, unknown):
        return None
    core, scale = split_scale(text)
    if core.lower() in UNKNOWN and not scale:
        return None
    mark = "," if comma else r"\."
    if _GROUPED[mark].fullmatch(core):
        core = re.sub(rf"[{'.' if comma else ','}{SPACES}]", "", core)
    elif not _PLAIN[mark].fullmatch(core) or (scale and "e" in core.lower()):
        raise ValueError(text)
    return Decimal(core.replace(",", ".") + scale)


def parse_with_either_mark(text: str) -> Decimal | None:
    """Read a number with whichever decimal mark it can have; else as `parse_number`."""
    try:
        return parse_number(text)
    except ValueError:
        return parse_number(text, comma=True)


def can_be_number(text: str) -> bool:
    """Tell whether a cell is a number, or says that none is known, with either decimal mark."""
    try:
        parse_with_either_mark(text)
    except ValueError:
        return False
    return True


def is_unknown(text: str, unknown: frozenset[str] = frozenset()) -> bool:
    """Tell whether a whole cell is a word for a value that is not known."""
    word = "".join(text.split()).lower()
    return word in UNKNOWN or word in unknown


def unknown_words(declared: Iterable[str]) -> frozenset[str]:
    """Reduce declared words to what cells are compared with: without spaces, in lower case."""
    return frozenset("".join(word.split()).lower() for word in declared)


def decimal_mark_is_unclear(text: str, *, points: bool = False) -> bool:
    """Tell whether a comma in the cell may be a decimal mark as well as one of thousands.

    `1,234` may be; `1,234.5` and `1,234,567` cannot; `1234,5` is no number unless it is one. With
    `points` the same is asked of a single point.
    """
    if "," not in text and not points:
        return False
    core, _ = split_scale(text)
    if "," not in text:
        return _ONE_GROUP_BY_POINT.fullmatch(core) is not None
    return not _CLEARLY_GROUPED.fullmatch(core) and bool(
        _GROUPED[r"\."].fullmatch(core)
        or _GROUPED[","].fullmatch(core)
        or _PLAIN[","].fullmatch(core)
    )


def split_scale(text: str) -> tuple[str, str]:
    """Take off dollar sign, footnote and letter of scale: `$1.38M*` is `1.38` and `E6`."""
    core = _FOOTNOTE.sub("", text.strip()).replace("$", "", 1).strip()
    if core and core[0] in "+-.,0123456789" and core[-1].lower() in SCALES:
        return core[:-1].rstrip(), SCALES[core[-1].lower()]
    return core, ""
