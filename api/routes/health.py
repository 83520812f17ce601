"""`/health`: the state of the database and the sources; liveness and readiness probes."""

from datetime import timedelta

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from api.database.pool import read
from api.database.readiness import check_readiness
from api.openapi.contract import documented
from api.parameters import QueryString
from api.queries.operations.freshness import assess
from api.queries.operations.sources import read_loading, read_sources
from api.request.problems import problem
from api.responses.answers import document
from api.schemas.health import HealthSchema, LiveSchema, ReadySchema

bp = Blueprint("health", __name__)


@bp.get("/health")
@documented(HealthSchema(), problems=(503,))
def health() -> Response:
    """Report the state of the database, and of each source: its runs and the age of its data.

    `status` is the worst status of all sources: `pass`, `warn` or `fail`. The response is 200 in
    each case, because the API still serves its data. If the database cannot be reached, `status` is
    `fail` and the response is 503. To monitor the data, read `status`. To monitor the service, use
    `/health/ready`.
    """
    QueryString().load(request.args)
    settings = current_app.extensions["settings"]
    with read() as conn:
        state = read_sources(conn, settings.sources)
        loading = read_loading(conn, settings.sources)
    interval = timedelta(seconds=settings.run_interval_seconds)
    sources = [{**of_all, **of_own} for of_all, of_own in zip(state, loading, strict=True)]
    return document(HealthSchema(), assess(sources, interval))


@bp.get("/health/live")
@documented(LiveSchema())
def live() -> Response:
    """Report that this process answers. The database is not queried."""
    QueryString().load(request.args)
    return document(LiveSchema(), {"status": "pass"})


@bp.get("/health/ready")
@documented(ReadySchema(), problems=(503,))
def ready() -> Response:
    """Report whether this process can serve: the database answers and has this release's schema.

    The database is queried once a second in the background, and no request waits for it. After 3
    seconds without an answer the response is 503; `detail` has the time since the last answer.
    """
    QueryString().load(request.args)
    return document(ReadySchema(), {"status": "pass", "schema_revision": check_readiness()})


@bp.errorhandler(ServiceUnavailable)
def unavailable(exc: ServiceUnavailable) -> Response:
    """Respond with the problem, and with the state as `data`."""
    return problem(exc, data={"status": "fail", "database": {"status": "fail"}, "sources": []})
