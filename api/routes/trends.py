"""`/trends`: price changes and sparklines of assets over the last seven days."""

import msgspec
from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import read_query
from api.parameters.trends import TrendsParameters
from api.queries.history.trends import find_trends
from api.responses.cached import Representation, cached_response, json_members
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
    """Show the price changes of up to 100 assets over 24 hours and 7 days.

    The assets are in the requested order. `meta.missing` has the slugs of assets that do not exist,
    including former slugs. Each price is the one that `/data` shows with `as_of` its instant.
    Instants are counted back from the asset's newest observation. In a gap the price is null; an
    older price is never repeated.
    """
    return cached_response(list_trends)


def list_trends() -> Representation:
    query = read_query(TRENDS, request.query_string)
    with read() as conn:
        found = find_trends(conn, query["assets"], query["moment"])
    with DECIMALS(query["decimals"]):
        data = msgspec.json.encode([WRITE(row) for row in found.assets])
    return Representation(
        data,
        meta=json_members(count=len(found.assets), missing=found.missing),
        rows=len(found.assets),
        changed_at=None,  # late records can change the past without a change of an asset
        meta_outside_etag=json_members(version=found.version),
    )
