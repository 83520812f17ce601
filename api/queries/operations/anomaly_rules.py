"""The rules for anomalies: runs that deviate from the history of their source.

A run is compared with the last successful runs of its source. The rule is the modified z-score of
Iglewicz and Hoaglin ("How to Detect and Handle Outliers", 1993). A value is an anomaly if its
distance from the median exceeds 3.5 times the median absolute deviation (MAD). The MAD is divided
by 0.6745 to be comparable to a standard deviation. Unlike mean and standard deviation, median and
MAD are not affected by a few outliers.

A source with little variation may vary a little: each rule has a minimum distance from the median.
The expected range also includes the values of all earlier runs except one on each side.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from statistics import median
from typing import Any

from shared.model.catalogue import EXPECTATIONS
from shared.model.expectations import Expectations

HISTORY = 20
"""Number of successful earlier runs that a run is compared with."""

LEAST_HISTORY = 5
"""Minimum number of earlier runs for a comparison."""

LEAST_COMPARED = 20
"""Minimum number of compared prices for a meaningful share of jumps."""

LIMIT, TO_SIGMA = Decimal("3.5"), Decimal("0.6745")

Distance = Callable[[Expectations, Decimal], Decimal | None]
"""The minimum distance of an anomaly from the median; None if that side is not checked."""


def not_checked(_expects: Expectations, _median: Decimal) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A measure, and the minimum distances of an anomaly below and above the median."""

    code: str
    measure: str
    label: str
    below: Distance = not_checked
    above: Distance = not_checked
    least_history: int = LEAST_HISTORY
    """Minimum number of earlier runs: one, if the minimum distance suffices."""


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
        code="volume", measure="volume", label="records", below=_fewer, above=_more, least_history=1
    ),
    Rule(code="duration", measure="duration", label="seconds", above=_slower),
    Rule(
        code="rejects",
        measure="rejected_share",
        label="share of records rejected",
        above=lambda expects, _: expects.max_reject_rise,
    ),
    Rule(code="frozen", measure="new_share", label="share of records new", below=_staler),
    Rule(
        code="jumping",
        measure="jumped_share",
        label="share of prices jumped",
        above=lambda *_: Decimal("0.02"),
        least_history=1,
    ),
    Rule(
        code="vanished",
        measure="replaced_share",
        label="share of ids that replaced another",
        above=lambda *_: Decimal("0.02"),
        least_history=1,
    ),
)
"""Files have neither a usual volume nor usual shares of rejects or new records (`expectations`)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A run, its measures, and the measures of the successful runs before it."""

    run: Mapping[str, Any]
    values: Mapping[str, Decimal | None]
    before: Mapping[str, Sequence[Decimal]]


def summary_of(measured: Sequence[Measured]) -> dict[str, Any]:
    """Return the anomalies of these runs, and how many runs could be judged."""
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
    """Return the anomalies of a run; None if it has too few earlier runs."""
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
    """Return the median and the median absolute deviation (MAD)."""
    middle = Decimal(median(values))
    return middle, Decimal(median(abs(each - middle) for each in values))


def expected_range(
    rule: Rule, expects: Expectations, before: Sequence[Decimal]
) -> tuple[Decimal | None, Decimal | None]:
    """Return the expected minimum and maximum; None for a side that is not checked."""
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
    """Round to six decimals, without trailing zeros."""
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
    return f"{rule.label}: {value:f}; {expected} expected by the {runs} good runs before it"
