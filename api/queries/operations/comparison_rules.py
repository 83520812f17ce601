"""The differences between the numbers of two runs."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError
from msgspec import Raw
from sqlalchemy import Connection

from api.queries.operations.comparison import Difference, compare_observations
from api.queries.operations.runs import find_two_runs
from api.request.problems import RunNotFoundError
from shared.model.catalogue import LIVE_SOURCES

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
    """Compare two runs of a source: counts, rates, times and observed listings.

    Raises:
        RunNotFoundError: one of them does not exist.
        ValidationError: they are of two sources.
    """
    found = find_two_runs(conn, a, b)
    require_same_source(found, a, b)
    differences = compare_observations(conn, a, b, limit)
    return {
        "a": found[a],
        "b": found[b],
        "change": changes_between(found[a], found[b]),
        "vanished": find_vanished(found[b], differences["not_observed_anew"]),
        **differences,
    }


def require_same_source(found: Mapping[int, Mapping[str, Any]], a: int, b: int) -> None:
    """Check that both runs exist and belong to the same source."""
    for run_id in (a, b):
        if run_id not in found:
            raise RunNotFoundError(f"no run has the id {run_id}; /runs lists all runs")
    source_a, source_b = found[a]["source"], found[b]["source"]
    if source_a != source_b:
        reason = f"is a run of {source_b!r}, but a is a run of {source_a!r}"
        raise ValidationError({"b": [f"{reason}; expected two runs of one source"]})


def changes_between(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Subtract the numbers of run a from those of run b; None if one of them is missing."""
    return {name: _difference(b[name], a[name]) for name in COMPARED}


def find_vanished(b: Mapping[str, Any], not_anew: Difference) -> Difference | None:
    """Return the listings that are missing in run b; None if they cannot be determined.

    They can if b received the whole list of a provider, and each record left a new observation. An
    unchanged or refused record and one of a page that was not sent again leave none. A run of
    files reads only what was added to them.
    """
    is_whole = (
        b["source"] in LIVE_SOURCES
        and (b["command"], b["outcome"]) == ("run", "succeeded")
        and is_beginning(b["cursor_before"])
    )
    every_record_is_new = b["records"]["fetched"] == b["records"]["new"]
    return not_anew if is_whole and every_record_is_new and not b["pages_not_modified"] else None


def is_beginning(cursor: Raw | None) -> bool:
    """Whether a run that started at this cursor read its source from the beginning."""
    return cursor is None or bytes(cursor) == b"null"


def _difference(of_b: Any, of_a: Any) -> Any:
    if isinstance(of_b, Mapping):
        return {name: _difference(of_b[name], of_a[name]) for name in of_b}
    return None if of_a is None or of_b is None else of_b - of_a
