"""`/metrics`: what Prometheus reads."""

from flask import Blueprint, Response, current_app, request
from prometheus_client.exposition import choose_encoder

from api.openapi.contract import documented
from api.parameters import QueryString
from api.request.negotiation import choose

bp = Blueprint("metrics", __name__)

EXAMPLE = """# HELP kasparro_source_lag_seconds Age of its newest data; compare with the target.
# TYPE kasparro_source_lag_seconds gauge
kasparro_source_lag_seconds{source="coingecko"} 94.2
"""

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"


@bp.get("/metrics")
@documented(None, media={TEXT: EXAMPLE, OPENMETRICS: f"{EXAMPLE}# EOF\n"})
def metrics() -> Response:
    """Show what Prometheus reads: the API's requests, its database, and how the loading does.

    Any of the API's processes answers for all of them. With the database down it answers 200 too,
    with `kasparro_database_up 0`. OpenMetrics where `Accept` prefers it, as Prometheus' own does.
    """
    QueryString().load(request.args)
    accept = request.headers.get("Accept")
    chosen = choose([TEXT, OPENMETRICS], accept)
    encode, content_type = choose_encoder(accept or "" if chosen == OPENMETRICS else "")
    response = Response(encode(current_app.extensions["metrics"]), content_type=content_type)
    response.vary.add("Accept")
    return response
