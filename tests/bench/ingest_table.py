"""What was measured, as lines of a table; ratios are of medians."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from tests.bench.contestants import DLT, LIMIT, OURS, Contest
from tests.bench.ingest_parts import STALE, crowd
from tests.bench.plans import MOVED, NEW, UNCHANGED

WIDTH = 42
HEAD = ("records", "median/s", "smallest", "largest", "of COPY", "of dlt", "CPU us", "peak MiB")
"""The microseconds of CPU are a record's, of the contestant and the server."""
AIMS = {NEW: (0.2, 2.5), MOVED: (None, 4), UNCHANGED: (None, 10)}
"""Of COPY and of dlt that the worker is to reach with each pass."""


def lines(contest: Contest) -> Iterator[str]:
    """Write a line for each contestant's pass, and compare them below."""
    yield _line("records a second", HEAD)
    for (title, name), outcomes in contest.outcomes.items():
        rates = contest.rates(title, name)
        numbers = (
            f"{outcomes[0].records:,}",
            *(f"{rate:,.0f}" for rate in (median(rates), min(rates), max(rates))),
            _ratio(rates, contest.rates(LIMIT, NEW), title != LIMIT and name in AIMS),
            _ratio(rates, contest.rates(DLT, name), title != DLT),
            f"{median(outcome.cpu / outcome.records for outcome in outcomes) * 1e6:,.0f}",
            f"{max(outcome.peak for outcome in outcomes) / 2**20:,.0f}",
        )
        yield _line(f"{title}: {name}", numbers)
    yield ""
    yield from comparisons(contest)
    yield from contest.notes


def comparisons(contest: Contest) -> Iterator[str]:
    """Say what the aims are about, of all that was measured."""
    for name, (of_limit, of_dlt) in AIMS.items():
        rates = contest.rates(OURS, name)
        for peer, aim, base in ((LIMIT, of_limit, NEW), (DLT, of_dlt, name)):
            if aim and (ratio := _ratio(rates, contest.rates(peer, base))):
                yield f"{name}: {ratio} of {peer} (aim: {aim})"
        if len(rates) > 1:
            aim = " (aim: 0.7)" if name == NEW else ""
            yield f"{name}: the slowest round is {min(rates) / max(rates):.2f} of the fastest{aim}"
        if ratio := _ratio(contest.rates(STALE, name), rates):
            yield f"{name}: {ratio} with stale statistics (aim: 0.7)"
        for fewer, more in pairwise(contest.options.crowds):
            if ratio := _ratio(contest.rates(crowd(more), name), contest.rates(crowd(fewer), name)):
                words = f"{more:,} coins of a symbol: {ratio} of the rate with {fewer:,}"
                yield f"{name}: {words} (aim: 0.8)"


def _ratio(rates: Sequence[float], others: Sequence[float], is_compared: bool = True) -> str:
    if not (rates and others and is_compared):
        return ""
    return f"{median(rates) / median(others):.2f}"


def _line(title: str, numbers: Sequence[str]) -> str:
    widths = (12, 11, 11, 11, 9, 9, 9, 10)
    columns = "".join(f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True))
    return f"{title:<{WIDTH}}{columns}".rstrip()
