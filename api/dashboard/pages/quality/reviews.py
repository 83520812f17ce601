"""Identity reviews: pairs of listings that a person should decide on, or has decided."""

from flask import Response, request

from api.dashboard.blueprint import bp
from api.dashboard.parameters import read_present_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import page_size
from api.parameters.operations import write_place
from api.parameters.reviews import ReviewsParameters, review_filters
from api.queries.reviews import find_reviews
from api.responses.cached import Representation, shared_response

FILTERS = ("open", "source", "asset")


class ReviewsPageParameters(ReviewsParameters):
    """Parameters of the page: those of `GET /reviews`."""

    page_size = page_size(10, 50, "reviews")


REVIEWS = ReviewsPageParameters()


@bp.get("/reviews")
def reviews() -> Response:
    """Show the reviews that the query string asks for."""
    return shared_response(show_reviews)


def show_reviews() -> Representation:
    """Find the reviews, and make the page. A decision on a pair need not change any asset."""
    query = read_present_query(REVIEWS, request.query_string)
    with read() as conn:
        found = find_reviews(conn, review_filters(query), query["page_size"], query["before"])
    return page(
        "quality/reviews",
        part_of="quality",
        rows=len(found.rows),
        data_at=None,
        reviews=found.rows,
        total=found.total,
        next_cursor=write_place(found.end, query["digest"]),
        filters=FILTERS,
        is_open=query["open"],
        is_filtered=any(query[name] for name in FILTERS),
    )
