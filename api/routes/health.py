"""`/health`: the state of database and loading; is this process alive, and can it serve."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from api import queries
from api.answers import document
from api.contract import documented
from api.db import read
from api.parameters import QueryString
from api.problems import SchemaNotReadyError, problem
from api.schemas import HealthSchema, LiveSchema, ReadySchema
from shared.tables import SCHEMA_REVISION

bp = Blueprint("health", __name__)

MISSED_INTERVALS = 3
"""How many of its turns a source may miss before it is reported as late."""


@bp.get("/health")
@documented(HealthSchema(), problems=(503,))
def health() -> Response:
    """Report on the database and on each source's loading.

    `status` is `pass`, `warn` while a source is in trouble, and `fail` (503) without a database.
    """
    QueryString().load(request.args)
    settings = current_app.extensions["settings"]
    with read() as conn:
        sources = queries.read_sources(conn, settings.sources)
    interval = timedelta(seconds=settings.run_interval_seconds)
    return document(HealthSchema(), assess([assess_source(each, interval) for each in sources]))


@bp.get("/health/live")
@documented(LiveSchema())
def live() -> Response:
    """Say that this process answers; the database is not asked."""
    QueryString().load(request.args)
    return document(LiveSchema(), {"status": "pass"})


@bp.get("/health/ready")
@documented(ReadySchema(), problems=(503,))
def ready() -> Response:
    """Say whether this process can serve: with its database, at the schema that it expects."""
    QueryString().load(request.args)
    with read() as conn:
        revision = queries.read_schema_revision(conn)
    if revision != SCHEMA_REVISION:
        raise SchemaNotReadyError(
            f"the schema is at revision {revision!r}, expected {SCHEMA_REVISION!r}; "
            "run `worker migrate`"
        )
    return document(ReadySchema(), {"status": "pass", "schema_revision": revision})


@bp.errorhandler(ServiceUnavailable)
def unavailable(exc: ServiceUnavailable) -> Response:
    """Answer with the problem, and with the state as far as it is known."""
    return problem(exc, data={"status": "fail", "database": {"status": "fail"}, "sources": []})


def assess(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the sources: the whole passes when each of them does."""
    passes = all(source["status"] == "pass" for source in sources)
    return {
        "status": "pass" if passes else "warn",
        "database": {"status": "pass"},
        "sources": sources,
    }


def assess_source(source: Mapping[str, Any], interval: timedelta) -> dict[str, Any]:
    """Add to what is known of a source a status, and why it is not `pass`."""
    last, good_until = source["last_run"], None
    if source["last_success_at"]:
        good_until = source["last_success_at"] + MISSED_INTERVALS * interval
    if last is None:
        status, detail = "warn", "no run has finished yet"
    elif last["outcome"] == "failed":
        status, detail = "fail", f"the last run failed: {last['reason']}"
    elif last["outcome"] == "partial":
        status, detail = "warn", f"the last run was partial: {last['reason']}"
    elif good_until is None or good_until < source["now"]:
        status, detail = "warn", f"no run has succeeded in {MISSED_INTERVALS} intervals"
    else:
        status, detail = "pass", None
    return {**source, "status": status, "detail": detail}
