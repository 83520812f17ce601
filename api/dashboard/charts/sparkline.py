"""The line of a price over some days, as small as a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from api.dashboard import numbers
from api.dashboard.charts.lines import Line, Scale, broken

WIDTH, HEIGHT, MARGIN = 120, 28, 2


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line, and what it shows in words."""

    line: Line
    direction: str
    """`up`, `down` or `flat`: the last price against the first."""
    summary: str
    width: int = WIDTH
    height: int = HEIGHT


def sparkline(prices: Sequence[Decimal | None]) -> Sparkline | None:
    """Draw prices at even distances, the oldest first; None where no two of them are known."""
    known = [price for price in prices if price is not None]
    if len(known) < 2:  # noqa: PLR2004
        return None
    across = Scale(Decimal(0), Decimal(len(prices) - 1), Decimal(MARGIN), Decimal(WIDTH - MARGIN))
    up = Scale(min(known), max(known), Decimal(HEIGHT - MARGIN), Decimal(MARGIN))
    points = [
        None if price is None else (across.place(Decimal(place)), up.place(price))
        for place, price in enumerate(prices)
    ]
    first, last = known[0], known[-1]
    direction = "up" if last > first else "down" if last < first else "flat"
    gaps = len(prices) - len(known)
    summary = (
        f"7 days: from {numbers.usd(first)} to {numbers.usd(last)},"
        f" lowest {numbers.usd(min(known))}, highest {numbers.usd(max(known))}"
        + (f"; {gaps} of {len(prices)} points were not observed" if gaps else "")
    )
    return Sparkline(broken(points), direction, summary)
