"""Detect renamed paths: one vanished, and another appeared with similar values."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import product
from math import isfinite
from typing import Any

from worker.drift.differences import RENAMED, Difference, _name, _parent

LEAST_CONFIDENCE = 0.5
"""Paths with a lower confidence are not reported as renamed."""

Values = Mapping[str, Any]
"""The values of one listing's record, by path."""


def find_renamed(
    vanished: Sequence[Difference],
    appeared: Sequence[Difference],
    records: Sequence[tuple[Values, Values]],
) -> list[Difference]:
    """Pair vanished paths with appeared paths in the same object.

    `records` are records of some listings before and after. Each path is paired once; the pairs
    with the highest confidence come first.
    """
    pairs: list[tuple[float, Difference, Difference, Mapping[str, Any]]] = []
    for old, new in product(vanished, appeared):
        types = {"null"} | set(old.detail["from"]) & set(new.detail["to"])
        if _parent(old.path) != _parent(new.path) or len(types) == 1:
            continue
        name = SequenceMatcher(None, _name(old.path), _name(new.path)).ratio()
        value = _value_likeness(records, old.path, new.path)
        confidence = name * 0.7 if value is None else (name + value) / 2
        parts: dict[str, Any] = {
            "name": round(name, 2),
            "value": None if value is None else round(value, 2),
        }
        pairs.append((confidence, old, new, parts))
    found: list[Difference] = []
    taken: set[str] = set()
    for confidence, old, new, likeness in sorted(pairs, key=lambda pair: -pair[0]):
        if confidence >= LEAST_CONFIDENCE and not taken & {old.path, new.path}:
            taken |= {old.path, new.path}
            detail = {"to": new.path, "confidence": round(confidence, 2), **likeness}
            found.append(Difference(old.path, RENAMED, detail, new.records, new.share, new.example))
    return found


def _value_likeness(records: Sequence[tuple[Values, Values]], old: str, new: str) -> float | None:
    """Return the mean similarity of the values before and after, over listings with both."""
    each = [_likeness(before.get(old), after.get(new)) for before, after in records]
    alike = [likeness for likeness in each if likeness is not None]
    return sum(alike) / len(alike) if alike else None


def _likeness(before: Any, after: Any) -> float | None:
    """Return the similarity of two values from 0 to 1; None if one is missing."""
    if before is None or after is None:
        return None
    if before == after:
        return 1.0
    if isinstance(before, str) and isinstance(after, str):
        return SequenceMatcher(None, before[:100], after[:100]).ratio()
    try:
        one, other = float(before), float(after)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    if not isfinite(one) or not isfinite(other) or (one < 0) != (other < 0):
        return 0.0
    lesser, greater = sorted((abs(one), abs(other)))
    return lesser / greater if greater else 0.0
