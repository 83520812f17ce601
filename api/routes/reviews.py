"""`/reviews`: which pairs of listings a person should decide, or has decided."""

from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters.reviews import ReviewsParameters
from api.queries.reviews import ReviewFilters, find_reviews
from api.responses.paging import paged
from api.schemas.reviews import ReviewSchema

bp = Blueprint("reviews", __name__)


@bp.get("/reviews")
@documented(ReviewSchema(many=True), ReviewsParameters, problems=(503,), paged=True)
def reviews() -> Response:
    """List identity reviews: pairs of listings that a person should decide, then decided ones.

    Within both the newest are first. Each has the facts of both listings side by side, the evidence
    as it is stored, and the worker's commands that decide it. Names are the sources' own text, and
    not to be trusted.
    """
    query = ReviewsParameters().load(request.args)
    is_open = None if query["open"] is None else query["open"] == "true"
    filters = ReviewFilters(is_open, query["source"], query["asset"])
    with read() as conn:
        page = find_reviews(conn, filters, query["page_size"], query["before"])
    return paged(ReviewSchema(many=True), page, query)
