"""The chart of an asset's price: candles or lines, with every source, and gaps as gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import msgspec

from api.dashboard.charts.axes import (
    Mark,
    label_price,
    label_time,
    places_of_times,
    round_values,
)
from api.dashboard.charts.lines import TENTH, Line, Scale, broken
from api.dashboard.formats import numbers

WIDTH, HEIGHT = 960, 300
LEFT, RIGHT, TOP, BOTTOM = 8, 872, 10, 272
"""Where the prices are drawn; labels are below, and on the right beside the newest prices."""


class Candle(msgspec.Struct, frozen=True):
    """What was observed in one interval; without samples every price is None."""

    start: datetime
    open_usd: Decimal | None
    high_usd: Decimal | None
    low_usd: Decimal | None
    close_usd: Decimal | None
    sample_count: int
    first_observed_at: datetime | None
    last_observed_at: datetime | None


Candles = Sequence[Candle]


@dataclass(frozen=True, slots=True)
class Box:
    """A candle as it is drawn."""

    x: Decimal
    left: Decimal
    width: Decimal
    high: Decimal
    low: Decimal
    top: Decimal
    height: Decimal
    direction: str


@dataclass(frozen=True, slots=True)
class Value:
    """A price that is written beside its point, on the side with more room."""

    x: Decimal
    y: Decimal
    label: str

    @property
    def is_right(self) -> bool:
        return self.x <= (LEFT + RIGHT) / 2


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of the chart: where it is, what it says on hover, and its row of the table."""

    left: Decimal
    width: Decimal
    candle: Candle
    by_source: Mapping[str, Candle]


@dataclass(frozen=True, slots=True)
class PriceChart:
    """A drawn chart, with what it shows in words and as a table."""

    lines: Mapping[str, Line]
    boxes: Sequence[Box]
    prices: Sequence[Mark]
    times: Sequence[Mark]
    intervals: Sequence[Interval]
    summary: str
    only_value: Value | None
    """The last price of the only interval with observations; None if several have some."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


def merged(candles: Sequence[Candle]) -> Candle:
    """Make one candle of those that the sources have of the same interval."""
    seen = [each for each in candles if each.sample_count]
    if not seen:
        return candles[0]
    first = min(seen, key=lambda each: each.first_observed_at or each.start)
    last = max(seen, key=lambda each: each.last_observed_at or each.start)
    return Candle(
        start=first.start,
        open_usd=first.open_usd,
        high_usd=max(each.high_usd for each in seen if each.high_usd is not None),
        low_usd=min(each.low_usd for each in seen if each.low_usd is not None),
        close_usd=last.close_usd,
        sample_count=sum(each.sample_count for each in seen),
        first_observed_at=first.first_observed_at,
        last_observed_at=last.last_observed_at,
    )


def price_chart(
    by_source: Mapping[str, Candles], interval: str, *, with_candles: bool
) -> PriceChart | None:
    """Draw the candles of each source, which begin at the same times; None without any price."""
    together = [merged(each) for each in zip(*by_source.values(), strict=True)]
    highs = [each.high_usd for each in together if each.high_usd is not None]
    lows = [each.low_usd for each in together if each.low_usd is not None]
    if not highs:
        return None
    low, high = min(lows), max(highs)
    margin = (high - low) / 20
    up = Scale(max(low - margin, Decimal(0)), high + margin, Decimal(BOTTOM), Decimal(TOP))
    width = Decimal(RIGHT - LEFT) / len(together)
    middles = [(LEFT + width * place + width / 2).quantize(TENTH) for place in range(len(together))]
    return PriceChart(
        lines={
            source: broken(
                None if each.close_usd is None else (x, up.place(each.close_usd))
                for x, each in zip(middles, candles, strict=True)
            )
            for source, candles in by_source.items()
        },
        boxes=[
            _box(x, width, each, up)
            for x, each in zip(middles, together, strict=True)
            if with_candles and each.sample_count
        ],
        prices=[
            Mark(up.place(value), label_price(value, up.high - up.low))
            for value in round_values(up.low, up.high)
        ],
        times=[
            Mark(middles[place], label_time(together[place].start, interval))
            for place in places_of_times(len(together))
        ],
        intervals=[
            Interval(
                (x - width / 2).quantize(TENTH),
                width.quantize(TENTH),
                each,
                {source: candles[place] for source, candles in by_source.items()},
            )
            for place, (x, each) in enumerate(zip(middles, together, strict=True))
        ],
        summary=summarize(together, interval, low, high),
        only_value=_only_value(middles, together, up),
    )


def _only_value(middles: Sequence[Decimal], together: Candles, up: Scale) -> Value | None:
    values = [
        Value(x, up.place(each.close_usd), numbers.usd(each.close_usd))
        for x, each in zip(middles, together, strict=True)
        if each.close_usd is not None
    ]
    return values[0] if len(values) == 1 else None


def _box(x: Decimal, width: Decimal, candle: Candle, up: Scale) -> Box:
    """Draw one candle."""
    opened, closed = candle.open_usd or Decimal(0), candle.close_usd or Decimal(0)
    top, foot = up.place(max(opened, closed)), up.place(min(opened, closed))
    body = (width * Decimal("0.6")).quantize(TENTH)
    return Box(
        x=x,
        left=(x - body / 2).quantize(TENTH),
        width=body,
        high=up.place(candle.high_usd or opened),
        low=up.place(candle.low_usd or opened),
        top=top,
        height=max(foot - top, Decimal(1)),
        direction="down" if closed < opened else "up",
    )


def summarize(candles: Candles, interval: str, low: Decimal, high: Decimal) -> str:
    """Say in words what the chart shows."""
    seen = [each for each in candles if each.sample_count]
    first, last = seen[0], seen[-1]
    gaps = len(candles) - len(seen)
    if len(seen) == 1:
        count, at = last.sample_count, label_day(last.last_observed_at or last.start)
        price = numbers.usd(last.close_usd or low)
        if count == 1:
            return f"One observation, at {at}: {price}."
        extremes = f"lowest {numbers.usd(low)}, highest {numbers.usd(high)}"
        return f"{count} observations, the last at {at}: {price}; {extremes}."
    return (
        f"From {label_day(first.start)} to {label_day(last.start)} the price went from"
        f" {numbers.usd(first.open_usd or low)} to {numbers.usd(last.close_usd or low)};"
        f" lowest {numbers.usd(low)}, highest {numbers.usd(high)}."
        + (
            f" Of {len(candles)} intervals of {interval}, {gaps} have no observation."
            if gaps
            else ""
        )
    )


def label_day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
