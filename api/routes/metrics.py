"""`/metrics`: metrics for Prometheus."""

from flask import Blueprint, Response, current_app, request
from prometheus_client.exposition import choose_encoder

from api.openapi.contract import documented
from api.parameters import QueryString
from api.request.negotiation import choose

bp = Blueprint("metrics", __name__)

EXAMPLE = """# HELP kasparro_source_lag_seconds Age of the newest data; compare it with the target.
# TYPE kasparro_source_lag_seconds gauge
kasparro_source_lag_seconds{source="coingecko"} 94.2
"""

TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"


@bp.get("/metrics")
@documented(None, media={TEXT: EXAMPLE, OPENMETRICS: f"{EXAMPLE}# EOF\n"})
def metrics() -> Response:
    """Show the metrics of the API's requests, the database and the worker's runs for Prometheus.

    Any process of the API answers for all of them. If the database cannot be reached, the response
    is still 200, with `kasparro_database_up 0`. The format is OpenMetrics if `Accept` prefers it,
    as Prometheus does.
    """
    QueryString().load(request.args)
    accept = request.headers.get("Accept")
    chosen = choose([TEXT, OPENMETRICS], accept)
    encode, content_type = choose_encoder(accept or "" if chosen == OPENMETRICS else "")
    response = Response(encode(current_app.extensions["metrics"]), content_type=content_type)
    response.vary.add("Accept")
    return response
