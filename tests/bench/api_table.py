"""What was measured, as lines of a table: medians over the rounds, and ratios round by round."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from tests.bench.api_cells import Cell
from tests.bench.api_load import Load

Loads = Mapping[str, Sequence[Load]]

AIMS = {"warm": 0.80, "304": 0.80, "cold": 0.30, "q": 0.15}
"""Of the limit, by cell."""


def lines(cells: Sequence[Cell], loads: Loads, skipped: Mapping[str, str]) -> Iterator[str]:
    """Write a line for each cell, also for those that were not measured."""
    yield _line("", ("answers/s", "p50 ms", "p99 ms", "bytes", "MB/s", "of limit", "of peer"), "")
    for cell in cells:
        if why := skipped.get(cell.name):
            yield f"{cell.title:<36}  not measured: {why}"
            continue
        measured = loads[cell.name]
        numbers = (
            f"{median(load.rate for load in measured):,.0f}",
            f"{median(load.p50 for load in measured):.2f}",
            f"{median(load.p99 for load in measured):.2f}",
            f"{median(load.bytes / max(load.requests, 1) for load in measured):,.0f}",
            f"{median(load.bytes / load.seconds for load in measured) / 1e6:.1f}",
            "" if cell.server == "peer" else _ratio(loads, cell.name, "limit"),
            _ratio(loads, cell.name, cell.beside) if cell.beside else "",
        )
        yield _line(cell.title, numbers, "; ".join(_words(cell.name, loads)))


def _line(title: str, numbers: Sequence[str], words: str) -> str:
    widths = (10, 8, 9, 11, 8, 9, 8)
    columns = "".join(f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True))
    return f"{title:<36}{columns}  {words}".rstrip()


def _ratio(loads: Loads, name: str, other: str) -> str:
    pairs = zip(loads[name], loads.get(other, ()), strict=False)
    ratios = [load.rate / base.rate for load, base in pairs if base.requests]
    return f"{median(ratios):.2f}" if ratios else ""


def _words(name: str, loads: Loads) -> Iterator[str]:
    """Say what a cell is aimed at, and which answers were not what they should be."""
    if name in AIMS:
        yield f"aim: {AIMS[name]:.2f} of the limit"
    if name == "asset":
        yield "aim: ahead of the peer"
    if name == "deep" and loads.get("cold"):
        yield f"aim: 1.20 of the first page's time; is {_ratio(loads, 'cold', 'deep')}"
    if refused := sum(load.refused for load in loads[name]):
        yield f"{refused:,} answers of status 400 or above"
    if broken := sum(load.broken for load in loads[name]):
        yield f"{broken:,} requests broken off"
    if not min(load.requests for load in loads[name]):
        yield "a round without any answer"
