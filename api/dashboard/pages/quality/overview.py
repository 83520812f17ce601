"""Quality: how much waits for a decision of the operator."""

from flask import Response, current_app, request

from api.dashboard.blueprint import bp
from api.dashboard.pages.quality.divergent import DIVERGENT, has_shared
from api.dashboard.parameters import read_present_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import QueryString
from api.queries.assets.find import find_assets
from api.queries.operations.drift import find_drift
from api.queries.operations.rejects import RejectFilters, find_rejects
from api.queries.reviews import ReviewFilters, find_reviews
from api.responses.cached import Representation, shared_response

QUALITY = QueryString()


@bp.get("/quality")
def quality() -> Response:
    """Show how much waits for a decision."""
    return shared_response(show_quality)


def show_quality() -> Representation:
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
        is_any_shared = counts["divergent"] > 0 or has_shared(conn)
    return page("quality/overview", data_at=None, counts=counts, is_any_shared=is_any_shared)
