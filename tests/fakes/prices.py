"""What the prices of two listings say over time, worked out from all records at once."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

from worker.identity.resolver.corroboration import Standing
from worker.identity.resolver.evidence import Accord

HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Priced = tuple[datetime, Decimal | None]


def standing(one: Iterable[Priced], other: Iterable[Priced]) -> Standing:
    """Compare two listings by every price that was ever observed of them."""
    sides = list(one), list(other)
    first, second = (_cells(side) for side in sides)
    told = {cell: _compare(first[cell], second[cell]) for cell in first.keys() & second.keys()}
    agreed = [cell for cell, accord in told.items() if accord == "agree"]
    run = [
        cell
        for cell, accord in sorted(told.items())
        if accord == "differ" and (not agreed or cell > max(agreed))
    ]
    before: Accord = "agree" if agreed else "unknown"
    if not run:
        return Standing(before)
    both_there = _hour(max(min(at for at, _ in side) for side in sides))
    if not agreed and run[0] <= both_there:
        return Standing("differ")
    if any(cell - run[0] >= 6 * HOUR for cell in run[4:]):
        return Standing("differ")
    return Standing(before, is_disputed=True)


def _hour(at: datetime) -> datetime:
    return at - (at - EPOCH) % HOUR


def _cells(side: Iterable[Priced]) -> dict[datetime, list[Decimal]]:
    found: dict[datetime, list[Decimal]] = {}
    for at, price in side:
        if price and price > 0:
            for cell in {_hour(at), _hour(at - HOUR / 2)}:
                found.setdefault(cell, []).append(price)
    return found


def _compare(ones: list[Decimal], others: list[Decimal]) -> str:
    within = Decimal("1.1")
    if any(max(pair) <= min(pair) * within for pair in product(ones, others)):
        return "agree"
    is_far = max(ones) > min(others) * 2 or max(others) > min(ones) * 2
    return "differ" if is_far else "unknown"
