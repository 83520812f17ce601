"""`/stats`: what the loading has done."""

from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import QueryString
from api.queries.loading.stats import read_stats
from api.responses.answers import document
from api.schemas.stats import StatsSchema
from shared.model.catalogue import SOURCES

bp = Blueprint("stats", __name__)


@bp.get("/stats")
@documented(StatsSchema(), problems=(503,))
def stats() -> Response:
    """Sum up the loading, by source and in total: records, durations, lag, failures, checkpoint."""
    QueryString().load(request.args)
    with read() as conn:
        found = read_stats(conn, SOURCES)
    return document(StatsSchema(), found)
