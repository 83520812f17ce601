"""`/reviews`: pairs of listings that need a decision, or that a person has decided."""

from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters.reviews import ReviewsParameters, review_filters
from api.queries.reviews import find_reviews
from api.responses.id_pages import paged
from api.schemas.operations.reviews import ReviewSchema

bp = Blueprint("reviews", __name__)


@bp.get("/reviews")
@documented(ReviewSchema(many=True), ReviewsParameters, problems=(503,), paged=True)
def reviews() -> Response:
    """List identity reviews: pairs of listings that need a decision, then decided pairs.

    Both are sorted newest first. Each review has the facts of both listings, the stored evidence,
    and the worker's commands for a decision. Names are the sources' own text: never trust them.
    """
    query = ReviewsParameters().load(request.args)
    with read() as conn:
        page = find_reviews(conn, review_filters(query), query["page_size"], query["before"])
    return paged(ReviewSchema(many=True), page, query)
