"""`/stats`: what the loading has done."""

from flask import Blueprint, Response, request

from api import queries
from api.answers import document
from api.contract import documented
from api.db import read
from api.parameters import QueryString
from api.schemas import StatsSchema
from shared.settings import SOURCES

bp = Blueprint("stats", __name__)


@bp.get("/stats")
@documented(StatsSchema(), problems=(503,))
def stats() -> Response:
    """Sum up the loading: records, durations, successes, failures and checkpoints by source."""
    QueryString().load(request.args)
    with read() as conn:
        sources = queries.read_sources(conn, SOURCES)
        totals = queries.read_totals(conn)
    return document(StatsSchema(), {"sources": sources, "totals": totals})
