"""Parse numbers as exports write them, with every digit.

`8,746.6`, `$1.38M`, `2.84909E+11` and `1 234` are numbers. `NaN`, `-`, `N/A`, `null` and an empty
cell mean that the value is unknown. A percentage is not an amount. A footnote mark after a number
(`38,532,538,149*`) is ignored. The decimal mark is a point unless a comma is declared, or proven
by the file (`decimal_mark.py`).
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from worker.sources.csv.cells.headers import CURRENCY_SIGN
from worker.sources.fields import Amount, brief

UNKNOWN = frozenset(
    {"", "-", "--", "\u2013", "\u2014", "?", "n/a", "#n/a", "na", "nan", "null", "none"}
)
"""Cells that mean an unknown value, in lower case."""

SCALES = {"k": "E3", "m": "E6", "b": "E9", "t": "E12"}
SPACES = "'\u2019 \u00a0\u2009\u202f"
"""Separators of thousands that do not depend on the decimal mark."""

_EXPONENT = r"(?:[eE][+-]?[0-9]{1,4})?"
_PLAIN = {
    mark: re.compile(rf"[+-]?(?:[0-9]+(?:{mark}[0-9]*)?|{mark}[0-9]+){_EXPONENT}")
    for mark in (r"\.", ",")
}
# A leading 0 is never followed by a group of thousands: the comma in `0,742` is a decimal mark.
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
    """An amount in a cell, with a comma as decimal mark if `comma` is set.

    `unknown` holds additional words for an unknown value (see `unknown_words`). A number that
    `counts_coins` must not have a currency sign.
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
            raise ValidationError(f"currency sign in a number of coins: {brief(value)}")
        return super()._deserialize(number, attr, data, **kwargs)

    def _hint(self, value: Any) -> str:
        """Suggest the declaration that makes the cell a number, if there is one."""
        try:
            parse_number(value, comma=not self.comma)
        except (ValueError, TypeError, AttributeError):
            return ""
        mark = "point" if self.comma else "comma"
        return f'; if the {mark} is the decimal mark, declare decimal = "{mark}"'


def parse_number(
    text: str, *, comma: bool = False, unknown: frozenset[str] = frozenset()
) -> Decimal | None:
    """Parse a number without losing digits; None if the cell means an unknown value.

    Raises:
        ValueError: the cell is neither.
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
    """Parse a number with a point as decimal mark, or else with a comma."""
    try:
        return parse_number(text)
    except ValueError:
        return parse_number(text, comma=True)


def can_be_number(text: str) -> bool:
    """Whether a cell is a number or means an unknown value, with either decimal mark."""
    try:
        parse_with_either_mark(text)
    except ValueError:
        return False
    return True


def is_unknown(text: str, unknown: frozenset[str] = frozenset()) -> bool:
    """Whether a cell consists of a word for an unknown value."""
    word = "".join(text.split()).lower()
    return word in UNKNOWN or word in unknown


def unknown_words(declared: Iterable[str]) -> frozenset[str]:
    """Normalise declared words as cells are compared: without spaces, in lower case."""
    return frozenset("".join(word.split()).lower() for word in declared)


def has_ambiguous_mark(text: str, *, points: bool = False) -> bool:
    """Whether the comma in a cell may be either a decimal mark or a separator of thousands.

    `1,234` is ambiguous; `1,234.5` and `1,234,567` are not. `1234,5` is ambiguous because without
    a decimal comma it is not a number. With `points`, a single point is checked as well.
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
    """Split off dollar sign, footnote and scale: `$1.38M*` becomes `1.38` and `E6`."""
    core = _FOOTNOTE.sub("", text.strip()).replace("$", "", 1).strip()
    if core and core[0] in "+-.,0123456789" and core[-1].lower() in SCALES:
        return core[:-1].rstrip(), SCALES[core[-1].lower()]
    return core, ""
