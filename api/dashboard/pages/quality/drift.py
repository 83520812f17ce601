"""Drift: how the shapes of the sources' records differ from what was known."""

from flask import Response, request

from api.dashboard.blueprint import bp
from api.dashboard.parameters import read_present_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters.operations import DRIFT_STATES, DriftParameters, write_place
from api.queries.operations.drift import find_drift
from api.responses.cached import Representation, cached_response
from shared.model.catalogue import SOURCES

DRIFT = DriftParameters()


@bp.get("/drift")
def drift() -> Response:
    """Show how the sources' shapes differ from what was known."""
    return cached_response(show_drift)


def show_drift() -> Representation:
    """Find the differences, and make the page."""
    query = read_present_query(DRIFT, request.query_string)
    with read() as conn:
        found = find_drift(
            conn, query["source"], query["state"], query["page_size"], query["before"]
        )
    return page(
        "quality/drift",
        part_of="quality",
        rows=len(found.rows),
        data_at=max((row["last_seen_at"] for row in found.rows), default=None),
        differences=found.rows,
        total=found.total,
        next_cursor=write_place(found.end, query["digest"]),
        state=query["state"],
        states=DRIFT_STATES,
        sources=SOURCES,
        is_filtered=bool(query["source"]) or query["state"] != "open",
    )
