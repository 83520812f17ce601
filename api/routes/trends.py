"""`/trends`: how the prices of some assets moved over the last seven days."""

import msgspec
from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import read_query
from api.parameters.trends import TrendsParameters
from api.queries.history.trends import find_trends
from api.responses.cached import Answer, kept, members
from api.schemas.fields import DECIMALS
from api.schemas.trends import TrendSchema
from api.schemas.writer import writer

bp = Blueprint("trends", __name__)

TRENDS = TrendsParameters()
WRITE = writer(TrendSchema())


@bp.get("/trends")
@documented(
    TrendSchema(many=True), TrendsParameters, problems=(503,), paged="trends", conditional=True
)
def trends() -> Response:
    """Show how the prices of up to 100 assets moved over 24 hours and 7 days.

    The assets are in the order asked. Those that do not exist are in `meta.missing`; a former slug
    does not exist. Every price is the one that `/data` shows with `as_of` its instant, and instants
    are counted from the asset's newest observation. A price of a gap is null and is never taken
    from before it.
    """
    return kept(list_trends)


def list_trends() -> Answer:
    """Find the trends that this request asks for."""
    query = read_query(TRENDS, request.query_string)
    with read() as conn:
        found = find_trends(conn, query["assets"], query["moment"])
    with DECIMALS(query["decimals"]):
        data = msgspec.json.encode([WRITE(row) for row in found.assets])
    return Answer(
        data,
        meta=members(count=len(found.assets), missing=found.missing),
        rows=len(found.assets),
        changed_at=None,  # what came late may have changed no present asset
        varies=members(version=found.version),
    )
