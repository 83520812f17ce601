"""What one run has more than another."""

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
    """Subtract the numbers of run a from those of run b; None where one of them has none."""
    return {name: _less(b[name], a[name]) for name in COMPARED}


def find_vanished(records_of_b: Mapping[str, int], not_anew: Difference) -> Difference | None:
    """Say which listings are gone in run b: those it did not observe anew, where it saw no others.

    A record that is unchanged, or in a page that is, leaves nothing that says of which listing it
    is: where run b had any, it is not known which listings are gone.
    """
    return None if records_of_b["unchanged"] or records_of_b["known"] else not_anew


def _less(of_b: Any, of_a: Any) -> Any:
    if isinstance(of_b, Mapping):
        return {name: _less(of_b[name], of_a[name]) for name in of_b}
    return None if of_a is None or of_b is None else of_b - of_a
