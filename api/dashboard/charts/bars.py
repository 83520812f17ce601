"""A bar whose parts stand one after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

WIDTH = 1000

GAP = 3
"""Units left free after each part, so that neighbours can be told apart without their colours."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar; `share` is that of the whole bar."""

    name: str
    value: Decimal
    share: Decimal
    x: int
    width: int


def stacked(values: Mapping[str, Decimal | None]) -> Sequence[Part]:
    """Place values side by side, in proportion to their sum; empty where that is nothing."""
    known = {name: Decimal(value) for name, value in values.items() if value}
    whole = sum(known.values())
    parts, x = [], Decimal(0)
    for name, value in known.items():
        share = value / whole
        width = max(round(share * WIDTH) - GAP, 1)
        parts.append(Part(name, value, share, round(x), width))
        x += share * WIDTH
    return parts
