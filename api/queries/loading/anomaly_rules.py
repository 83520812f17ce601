"""Runs that stand out against their source's own history, and the rules by which they do.

A run is compared with the last runs of its source before it that succeeded. The rule is the
modified z-score of Iglewicz and Hoaglin ("How to Detect and Handle Outliers", 1993): a value stands
out that is further from the median than 3.5 times the median absolute deviation (MAD), divided by
0.6745 so that it reads like a standard deviation. Median and MAD take no notice of a few outliers
among the earlier runs, as mean and standard deviation would.

So that a source that hardly varies may vary a little, each rule has a least distance from the
median; and what is expected is never narrower than what all of the earlier runs but one had.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from statistics import median
from typing import Any

from shared.model.catalogue import EXPECTATIONS
from shared.model.expectations import Expectations

HISTORY = 20
"""How many of a source's last good runs say what is usual."""

LEAST_HISTORY = 5
"""With fewer earlier runs there is nothing usual yet."""

LEAST_COMPARED = 20
"""With fewer prices compared, the share of those that jumped says nothing."""

LIMIT, TO_SIGMA = Decimal("3.5"), Decimal("0.6745")

Distance = Callable[[Expectations, Decimal], Decimal | None]
"""The least distance from a median that stands out; None where that side is not judged."""


def not_judged(_expects: Expectations, _median: Decimal) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is compared, and the least distance below and above the median that stands out."""

    code: str
    measure: str
    says: str
    below: Distance = not_judged
    above: Distance = not_judged
    least_history: int = LEAST_HISTORY
    """How many earlier runs it takes to judge: one, where the least distance says enough."""


def _fewer(expects: Expectations, usual: Decimal) -> Decimal | None:
    least = expects.min_snapshot_share
    return None if least is None else (1 - least) * usual


def _more(expects: Expectations, usual: Decimal) -> Decimal | None:
    return None if expects.min_snapshot_share is None else Decimal("0.2") * usual


def _slower(_expects: Expectations, usual: Decimal) -> Decimal:
    return max(Decimal("0.5") * usual, Decimal(5))


def _staler(expects: Expectations, usual: Decimal) -> Decimal | None:
    return None if expects.max_unchanged_for is None else Decimal("0.5") * usual


RULES = (
    Rule(
        code="volume", measure="volume", says="records", below=_fewer, above=_more, least_history=1
    ),
    Rule(code="duration", measure="duration", says="seconds", above=_slower),
    Rule(
        code="rejects",
        measure="rejected_share",
        says="share of records rejected",
        above=lambda expects, _: expects.max_reject_rise,
    ),
    Rule(code="frozen", measure="new_share", says="share of records new", below=_staler),
    Rule(
        code="jumping",
        measure="jumped_share",
        says="share of prices jumped",
        above=lambda *_: Decimal("0.02"),
        least_history=1,
    ),
    Rule(
        code="vanished",
        measure="replaced_share",
        says="share of ids that took the place of another",
        above=lambda *_: Decimal("0.02"),
        least_history=1,
    ),
)
"""Of files no volume is usual, and no share of rejects or of new records: `expectations`."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A run, what was measured of it, and what was of the good runs before it."""

    run: Mapping[str, Any]
    values: Mapping[str, Decimal | None]
    before: Mapping[str, Sequence[Decimal]]


def summary_of(measured: Sequence[Measured]) -> dict[str, Any]:
    """Say what stands out in these runs, and how many of them could be judged."""
    judged = [found for each in measured if (found := judge(each)) is not None]
    ids = [each.run["id"] for each in measured]
    return {
        "examined": {
            "runs": len(ids),
            "judged": len(judged),
            "newest_run_id": max(ids, default=None),
            "oldest_run_id": min(ids, default=None),
        },
        "anomalies": [anomaly for anomalies in judged for anomaly in anomalies],
    }


def judge(measured: Measured) -> list[dict[str, Any]] | None:
    """Return what stands out in a run; None where there are too few earlier runs to say."""
    if all(len(measured.before[rule.measure]) < rule.least_history for rule in RULES):
        return None
    return list(_anomalies(measured))


def _anomalies(measured: Measured) -> Iterator[dict[str, Any]]:
    expects = EXPECTATIONS[measured.run["source"]]
    for rule in RULES:
        value, before = measured.values[rule.measure], measured.before[rule.measure]
        if value is None or len(before) < rule.least_history:
            continue
        usual, spread = centre_of(before)
        low, high = expected_range(rule, expects, before)
        is_low = low is not None and value < low
        if is_low or (high is not None and value > high):
            yield {
                "run_id": measured.run["id"],
                "source": measured.run["source"],
                "started_at": measured.run["started_at"],
                "outcome": measured.run["outcome"],
                "rule": rule.code,
                "side": "low" if is_low else "high",
                "value": value,
                "expected_low": low,
                "expected_high": high,
                "median": _rounded(usual),
                "mad": _rounded(spread),
                "earlier_runs": len(before),
                "detail": _sentence(rule, value, low, high, len(before)),
            }


def centre_of(values: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """Return the median, and the median of the distances from it (MAD)."""
    middle = Decimal(median(values))
    return middle, Decimal(median(abs(each - middle) for each in values))


def expected_range(
    rule: Rule, expects: Expectations, before: Sequence[Decimal]
) -> tuple[Decimal | None, Decimal | None]:
    """Return from where to where a value is expected; None on a side that is not judged."""
    usual, spread = centre_of(before)
    distance = LIMIT * spread / TO_SIGMA
    ordered = sorted(before)
    below, above = rule.below(expects, usual), rule.above(expects, usual)
    low = high = None
    if below is not None:
        low = _rounded(max(min(usual - max(distance, below), ordered[:2][-1]), Decimal(0)))
    if above is not None:
        high = _rounded(max(usual + max(distance, above), ordered[-2:][0]))
    return low, high


def _rounded(number: Decimal) -> Decimal:
    """Round to six decimals, and leave out the zeros behind."""
    fixed = number.quantize(Decimal("0.000001"), ROUND_HALF_EVEN).normalize()
    return fixed or Decimal(0)


def _sentence(
    rule: Rule, value: Decimal, low: Decimal | None, high: Decimal | None, runs: int
) -> str:
    bounds = [
        *([f"at least {low:f}"] if low is not None else []),
        *([f"at most {high:f}"] if high is not None else []),
    ]
    expected = " and ".join(bounds)
    return f"{rule.says}: {value:f}; {expected} expected by the {runs} good runs before it"
