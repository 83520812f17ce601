"""The differences between the numbers of two runs."""

from collections.abc import Mapping
from typing import Any

from api.queries.loading.comparison import Difference

COMPARED = (
    "duration_seconds",
    "phase_seconds",
    "records",
    "rates",
    "requests",
    "retries",
    "pages_not_modified",
    "batches",
    "prices_compared",
    "prices_jumped",
)


def changes_between(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Subtract the numbers of run a from those of run b; None if one of them is missing."""
    return {name: _difference(b[name], a[name]) for name in COMPARED}


def find_vanished(records_of_b: Mapping[str, int], not_anew: Difference) -> Difference | None:
    """Return the listings that are missing in run b; None if they cannot be determined.

    Unchanged records and records of unchanged pages leave no observation. If run b had any, a
    listing without a new observation is not necessarily missing.
    """
    return None if records_of_b["unchanged"] or records_of_b["known"] else not_anew


def _difference(of_b: Any, of_a: Any) -> Any:
    if isinstance(of_b, Mapping):
        return {name: _difference(of_b[name], of_a[name]) for name in of_b}
    return None if of_a is None or of_b is None else of_b - of_a
