"""How the runs of each day ended, and how old the last success became, over some days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from api.dashboard.charts.axes import Mark
from api.dashboard.charts.lines import TENTH, Line, Scale, broken
from api.dashboard.formats import numbers

WIDTH, HEIGHT = 600, 80
LEFT, RIGHT = 2, 518
RUNS_TOP, RUNS_BOTTOM = 2, 26
LAG_TOP, LAG_BOTTOM = 38, 58
"""Where the outcomes and, below them, the lag are drawn; labels are right of them and below."""

ENDED = ("succeeded", "partial", "failed")
SHOWN = (*reversed(ENDED), "running")
"""From the top of a day's bar to its foot."""

MARKS_ACROSS = 4

WHOLE_MINUTE = 60
"""The lag grows by itself; in whole minutes the page is not another each second."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The share of one outcome in the bar of a day."""

    outcome: str
    y: Decimal
    height: Decimal


@dataclass(frozen=True, slots=True)
class Day:
    """One day: its bar, and its row of the table."""

    date: date
    x: Decimal
    width: Decimal
    segments: Sequence[Segment]
    runs: Mapping[str, int]
    lag: Decimal | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """A drawn timeline, with what it shows in words and as a table."""

    days: Sequence[Day]
    lag: Line
    greatest: Decimal | None
    times: Sequence[Mark]
    summary: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    runs_middle: int = (RUNS_TOP + RUNS_BOTTOM) // 2
    runs_top: int = RUNS_TOP
    runs_bottom: int = RUNS_BOTTOM
    lag_top: int = LAG_TOP
    lag_bottom: int = LAG_BOTTOM


def timeline(days: Sequence[Mapping[str, Any]]) -> Timeline | None:
    """Draw the days of a source as `count_days` returns them; None where no run was on any."""
    if not any(sum(each["runs"].values()) for each in days):
        return None
    width = Decimal(RIGHT - LEFT) / len(days)
    drawn = [_day(each, LEFT + width * place, width) for place, each in enumerate(days)]
    greatest = max((each.lag for each in drawn if each.lag is not None), default=None)
    up = Scale(Decimal(0), greatest or Decimal(1), Decimal(LAG_BOTTOM), Decimal(LAG_TOP))
    step = -(-len(drawn) // MARKS_ACROSS)
    return Timeline(
        days=drawn,
        lag=broken(
            None if each.lag is None else ((each.x + width / 2).quantize(TENTH), up.place(each.lag))
            for each in drawn
        ),
        greatest=greatest,
        times=[Mark(each.x, f"{each.date:%Y-%m-%d}") for each in drawn[::step]],
        summary=summarize(drawn, greatest),
    )


def _day(day: Mapping[str, Any], x: Decimal, width: Decimal) -> Day:
    """Draw the bar of a day, whose parts are in proportion to its runs by outcome."""
    runs, lag = day["runs"], day["max_lag_seconds"]
    segments, y = [], Decimal(RUNS_TOP)
    whole = sum(runs.values())
    for outcome in SHOWN:
        if runs[outcome]:
            height = Decimal(RUNS_BOTTOM - RUNS_TOP) * runs[outcome] / whole
            segments.append(Segment(outcome, y.quantize(TENTH), height.quantize(TENTH)))
            y += height
    return Day(
        date=day["date"],
        x=x.quantize(TENTH),
        width=(width * Decimal("0.8")).quantize(TENTH),
        segments=segments,
        runs=runs,
        lag=None if lag is None else lag // WHOLE_MINUTE * WHOLE_MINUTE,
    )


def summarize(days: Sequence[Day], greatest: Decimal | None) -> str:
    """Say in words what the timeline shows."""
    counts = {outcome: sum(day.runs[outcome] for day in days) for outcome in SHOWN}
    whole = sum(counts.values())
    idle = sum(not day.segments for day in days)
    outcomes = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in ENDED)
    if counts["running"]:
        outcomes += f", {counts['running']:,} running"
    until = f"{len(days)} days until {days[-1].date:%Y-%m-%d}"
    text = f"{until}: {whole:,} {'run' if whole == 1 else 'runs'}, {outcomes}"
    if idle:
        text += f"; {idle} {'day' if idle == 1 else 'days'} without a run"
    if greatest is None:
        return f"{text}. No run has succeeded."
    worst = next(day for day in days if day.lag == greatest)
    said = numbers.duration(greatest)
    return f"{text}. The longest time since a success was {said}, on {worst.date:%Y-%m-%d}."
