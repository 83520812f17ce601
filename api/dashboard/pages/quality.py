"""Quality: how much waits for a decision of the operator, and how sources' shapes drift."""

from flask import Response, current_app, request

from api.dashboard.blueprint import bp
from api.dashboard.pages.divergent import DIVERGENT
from api.dashboard.pages.paging import next_page
from api.dashboard.parameters import read_present_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import QueryString
from api.parameters.loading import DriftParameters
from api.queries.assets.listing import find_assets
from api.queries.loading.drift import find_drift
from api.queries.loading.rejects import RejectFilters, find_rejects
from api.queries.reviews import ReviewFilters, find_reviews
from api.responses.cached import Answer, current, kept
from shared.model.catalogue import SOURCES

QUALITY, DRIFT = QueryString(), DriftParameters()

STATES = ("open", "acknowledged", "all")


@bp.get("/quality")
def quality() -> Response:
    """Show how much waits for a decision."""
    return current(show_quality)


def show_quality() -> Answer:
    """Count what is open of each kind, and make the page."""
    read_present_query(QUALITY, request.query_string)
    totals = current_app.extensions["totals"]
    with read() as conn:
        counts = {
            "rejects": find_rejects(conn, RejectFilters(), 1, None).total,
            "drift": find_drift(conn, (), "open", 1, None).total,
            "divergent": find_assets(conn, DIVERGENT, 1, 0, totals).walk.total,
            "reviews": find_reviews(conn, ReviewFilters(is_open=True), 1, None).total,
        }
    return page("quality", data_at=None, counts=counts)


@bp.get("/drift")
def drift() -> Response:
    """Show how the sources' shapes differ from what was known."""
    return kept(show_drift)


def show_drift() -> Answer:
    """Find the differences, and make the page."""
    query = read_present_query(DRIFT, request.query_string)
    with read() as conn:
        found = find_drift(
            conn, query["source"], query["state"], query["page_size"], query["before"]
        )
    return page(
        "drift",
        part_of="quality",
        rows=len(found.rows),
        data_at=max((row["last_seen_at"] for row in found.rows), default=None),
        differences=found.rows,
        total=found.total,
        next_cursor=next_page(found, query),
        state=query["state"],
        states=STATES,
        sources=SOURCES,
        is_filtered=bool(query["source"]) or query["state"] != "open",
    )
