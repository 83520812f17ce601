"""Numbers as people's exports write them, read with every digit they have.

`8,746.6`, `$1.38M`, `2.84909E+11` and `1 234` are numbers; `NaN`, `-`, `N/A`, `null` and an empty
cell stand for a value that is not known; a percentage is not an amount. The decimal mark is a point
unless a comma is declared.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError

from worker.sources.base import Amount, brief

UNKNOWN = frozenset(
    {"", "-", "--", "\u2013", "\u2014", "?", "n/a", "#n/a", "na", "nan", "null", "none"}
)
"""What exports write where they have no value, in lower case."""

SCALES = {"k": "E3", "m": "E6", "b": "E9", "t": "E12"}

_EXPONENT = r"(?:[eE][+-]?[0-9]{1,4})?"
_PLAIN = {
    mark: re.compile(rf"[+-]?(?:[0-9]+(?:{mark}[0-9]*)?|{mark}[0-9]+){_EXPONENT}")
    for mark in (r"\.", ",")
}
_SPACES = "'\u2019 \u00a0\u2009\u202f"
"""What parts thousands whatever the decimal mark is."""
_GROUPED = {
    mark: re.compile(
        rf"[+-]?[0-9]{{1,3}}(?:([{other}{_SPACES}])[0-9]{{3}})(?:\1[0-9]{{3}})*(?:{mark}[0-9]*)?"
    )
    for mark, other in ((r"\.", ","), (",", "."))
}
_PLAIN_POINT = _PLAIN[r"\."].fullmatch
_CLEARLY_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]*|(?:,[0-9]{3}){2,})")


class NumberCell(Amount):
    """An amount from the text of a cell. With `comma`, that is its decimal mark."""

    def __init__(self, *, comma: bool = False, zero_is_unknown: bool = False) -> None:
        super().__init__(zero_is_unknown=zero_is_unknown, load_default=None)
        self.comma = comma

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Decimal | None:
        try:
            number = parse_number(value, comma=self.comma)
        except (ValueError, TypeError):
            raise ValidationError(f"not a number: {brief(value)}") from None
        if number is None:
            return None
        return super()._deserialize(number, attr, data, **kwargs)


def parse_number(text: str, *, comma: bool = False) -> Decimal | None:
    """Read a number exactly; None where the cell says that it is not known.

    Raises:
        ValueError: for anything else.
    """
    if not comma and _PLAIN_POINT(text):
        return Decimal(text)
    core, scale = _split_scale(text)
    if core.lower() in UNKNOWN and not scale:
        return None
    mark = "," if comma else r"\."
    if _GROUPED[mark].fullmatch(core):
        core = re.sub(rf"[{'.' if comma else ','}{_SPACES}]", "", core)
    elif not _PLAIN[mark].fullmatch(core) or (scale and "e" in core.lower()):
        raise ValueError(text)
    return Decimal(core.replace(",", ".") + scale)


def decimal_mark_is_unclear(text: str) -> bool:
    """Tell whether a comma in the cell may be a decimal mark as well as one of thousands.

    `1,234` may be; `1,234.5` and `1,234,567` cannot; `1234,5` is no number unless it is one.
    """
    if "," not in text:
        return False
    core, _ = _split_scale(text)
    return not _CLEARLY_GROUPED.fullmatch(core) and bool(
        _GROUPED[r"\."].fullmatch(core)
        or _GROUPED[","].fullmatch(core)
        or _PLAIN[","].fullmatch(core)
    )


def _split_scale(text: str) -> tuple[str, str]:
    """Take off the dollar sign and the letter of scale: `$1.38M` is `1.38` and `E6`."""
    core = text.strip().replace("$", "", 1).strip()
    if core and core[0] in "+-.0123456789" and core[-1].lower() in SCALES:
        return core[:-1].rstrip(), SCALES[core[-1].lower()]
    return core, ""
