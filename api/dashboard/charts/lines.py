"""Places on a chart, and lines that are broken where nothing was observed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

TENTH = Decimal("0.1")
"""A tenth of a unit of a chart is less than a pixel."""

Point = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Scale:
    """Places the values from `low` to `high` between two ends; equal ones in the middle."""

    low: Decimal
    high: Decimal
    start: Decimal
    end: Decimal

    def place(self, value: Decimal) -> Decimal:
        """Return where a value lies."""
        if self.high == self.low:
            return ((self.start + self.end) / 2).quantize(TENTH)
        share = (value - self.low) / (self.high - self.low)
        return (self.start + share * (self.end - self.start)).quantize(TENTH)


@dataclass(frozen=True, slots=True)
class Line:
    """A line as SVG has it: `points` of the parts, and dots for points without a neighbour."""

    parts: Sequence[str]
    dots: Sequence[Point]


def broken(points: Iterable[Point | None]) -> Line:
    """Connect the points that follow each other; None is a gap."""
    parts, dots = [], []
    for is_gap, group in groupby(points, key=lambda point: point is None):
        run = [point for point in group if point is not None]
        if is_gap:
            continue
        if len(run) == 1:
            dots.append(run[0])
        else:
            parts.append(" ".join(f"{x},{y}" for x, y in run))
    return Line(parts, dots)
