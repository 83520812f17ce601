"""What one run has more than another."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError
from sqlalchemy import Connection

from api.queries.loading.comparison import Difference, compare_observations
from api.queries.loading.runs import find_two_runs
from api.request.problems import RunNotFoundError

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


def compare_runs(conn: Connection, a: int, b: int, limit: int) -> dict[str, Any]:
    """Compare two runs of a source: counts, rates, times, and what they observed differently.

    Raises:
        RunNotFoundError: one of them does not exist.
        ValidationError: they are of two sources.
    """
    found = find_two_runs(conn, a, b)
    refuse_unlike(found, a, b)
    differences = compare_observations(conn, a, b, limit)
    return {
        "a": found[a],
        "b": found[b],
        "change": changes_between(found[a], found[b]),
        "vanished": find_vanished(found[b]["records"], differences["not_observed_anew"]),
        **differences,
    }


def refuse_unlike(found: Mapping[int, Mapping[str, Any]], a: int, b: int) -> None:
    """Refuse to compare what is not there, or what is of two sources."""
    for run_id in (a, b):
        if run_id not in found:
            raise RunNotFoundError(f"no run {run_id}; /runs lists them")
    of_a, of_b = found[a]["source"], found[b]["source"]
    if of_a != of_b:
        said = f"is a run of {of_b!r}, and a is one of {of_a!r}; expected two of one source"
        raise ValidationError({"b": [said]})


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
