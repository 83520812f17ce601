"""`/stats`: statistics of the worker's runs."""

from flask import Blueprint, Response, current_app, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import QueryString
from api.queries.operations.stats import read_stats
from api.responses.answers import document
from api.schemas.operations.stats import StatsSchema
from shared.model.catalogue import SOURCES

bp = Blueprint("stats", __name__)


@bp.get("/stats")
@documented(StatsSchema(), problems=(503,))
def stats() -> Response:
    """Show statistics by source and in total: records, durations, lag, failures, checkpoint.

    `next_run_at` is estimated from the last runs and the worker's interval. Sources of one provider
    share its `budget`.
    """
    QueryString().load(request.args)
    with read() as conn:
        found = read_stats(conn, SOURCES, current_app.extensions["settings"])
    return document(StatsSchema(), found)
