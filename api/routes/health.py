"""`/health`: the state of database and loading; is this process alive, and can it serve."""

from datetime import timedelta

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from api.database.pool import read
from api.database.readiness import check_readiness
from api.openapi.contract import documented
from api.parameters import QueryString
from api.queries.loading.freshness import assess
from api.queries.loading.sources import read_loading, read_sources
from api.request.problems import problem
from api.responses.answers import document
from api.schemas.health import HealthSchema, LiveSchema, ReadySchema

bp = Blueprint("health", __name__)


@bp.get("/health")
@documented(HealthSchema(), problems=(503,))
def health() -> Response:
    """Report on the database and on each source: how its runs end, and how fresh its data is.

    `status` is that of the source that does worst: `pass`, `warn` or `fail`, all with HTTP 200, for
    the API serves what it has. Without a database it is `fail`, with 503. A monitor that watches
    the data reads `status`; one that watches this service asks `/health/ready`.
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
    """Say that this process answers; the database is not asked."""
    QueryString().load(request.args)
    return document(LiveSchema(), {"status": "pass"})


@bp.get("/health/ready")
@documented(ReadySchema(), problems=(503,))
def ready() -> Response:
    """Say whether this process can serve: with its database, at the schema that it expects.

    The database is asked once a second in the background, and no request waits for it. After 3
    seconds without an answer this is 503, with the time since the last one in `detail`.
    """
    QueryString().load(request.args)
    return document(ReadySchema(), {"status": "pass", "schema_revision": check_readiness()})


@bp.errorhandler(ServiceUnavailable)
def unavailable(exc: ServiceUnavailable) -> Response:
    """Answer with the problem, and with the state as far as it is known."""
    return problem(exc, data={"status": "fail", "database": {"status": "fail"}, "sources": []})
