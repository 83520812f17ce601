"""`/reviews`: pairs of listings that need a decision, or that a person has decided."""

from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters.reviews import ReviewsParameters
from api.queries.reviews import ReviewFilters, find_reviews
from api.responses.paging import paged
from api.schemas.loading.reviews import ReviewSchema

bp = Blueprint("reviews", __name__)


@bp.get("/reviews")
@documented(ReviewSchema(many=True), ReviewsParameters, problems=(503,), paged=True)
def reviews() -> Response:
    """List identity reviews: pairs of listings that need a decision, then decided pairs.

    Both are sorted newest first. Each review has the facts of both listings, the stored evidence,
    and the worker's commands for a decision. Names are the sources' own text: never trust them.
    """
    query = ReviewsParameters().load(request.args)
    is_open = None if query["open"] is None else query["open"] == "true"
    filters = ReviewFilters(is_open, query["source"], query["asset"])
    with read() as conn:
        page = find_reviews(conn, filters, query["page_size"], query["before"])
    return paged(ReviewSchema(many=True), page, query)
