"""`/runs`: runs, the differences between two runs, and anomalies."""

from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import QueryString
from api.parameters.operations import (
    AnomaliesParameters,
    CompareParameters,
    RunDaysParameters,
    RunsParameters,
    read_id,
    run_filters,
)
from api.queries.operations.anomalies import Examined, measure_run, measure_runs
from api.queries.operations.anomaly_rules import judge, summary_of
from api.queries.operations.comparison_rules import compare_runs
from api.queries.operations.run_days import count_days
from api.queries.operations.runs import find_run, find_runs
from api.request.problems import RunNotFoundError
from api.responses.answers import document, link
from api.responses.id_pages import paged
from api.schemas.operations.anomalies import AnomaliesSchema
from api.schemas.operations.comparison import ComparisonSchema
from api.schemas.operations.runs import ListedRunSchema, RunDaysSchema, RunDetailSchema
from shared.model.catalogue import SOURCES

bp = Blueprint("runs", __name__)


@bp.get("/runs")
@documented(ListedRunSchema(many=True), RunsParameters, problems=(503,), paged=True)
def runs() -> Response:
    """List runs, newest first.

    To read further pages, follow `meta.next_cursor` or the `Link` header with the same parameters.
    """
    query = RunsParameters().load(request.args)
    with read() as conn:
        page = find_runs(conn, run_filters(query), query["page_size"], query["before"])
    return paged(ListedRunSchema(many=True), page, query)


@bp.get("/runs/<run_id>")
@documented(RunDetailSchema(), problems=(404, 503))
def run(run_id: str) -> Response:
    """Show one run: counts, rates, times, checkpoint before and after, and anomalies.

    The `Link` header has the previous and the next run of the source.
    """
    QueryString().load(request.args)
    with read() as conn:
        found = find_run(conn, read_id(run_id, RunNotFoundError))
        measured = measure_run(conn, found["id"]) if found else None
    if found is None:
        raise RunNotFoundError(f"no run has the id {run_id}; /runs lists all runs")
    anomalies = judge(measured) if measured else None
    response = document(RunDetailSchema(), {**found, "anomalies": anomalies})
    for relation, other in (("prev", "previous_run_id"), ("next", "next_run_id")):
        if found[other] is not None:
            target = f"{request.script_root}/runs/{found[other]}"
            response.headers.add("Link", f'<{target}>; rel="{relation}"')
    return response


@bp.get("/runs/compare")
@documented(ComparisonSchema(), CompareParameters, problems=(404, 503))
def compare() -> Response:
    """Compare two runs of a source: counts, rates, times and observed listings."""
    query = CompareParameters().load(request.args)
    with read() as conn:
        compared = compare_runs(conn, query["a"], query["b"], query["limit"])
    return document(ComparisonSchema(), compared)


@bp.get("/runs/days")
@documented(RunDaysSchema(many=True), RunDaysParameters, problems=(503,))
def days() -> Response:
    """Count the runs of each source by day and outcome, and show the maximum lag of each day.

    Days are in UTC. A run belongs to the day on which it started. The last day is today.
    """
    query = RunDaysParameters().load(request.args)
    with read() as conn:
        found = count_days(conn, query["source"] or SOURCES, query["days"], query["command"])
    return document(RunDaysSchema(many=True), found)


@bp.get("/runs/anomalies")
@documented(AnomaliesSchema(), AnomaliesParameters, problems=(503,))
def anomalies() -> Response:
    """List the runs that deviate from the earlier successful runs of their source.

    The newest `limit` complete runs are examined; imports are not. Each run is compared with up to
    20 successful runs before it.
    """
    query = AnomaliesParameters().load(request.args)
    examined = Examined(query["source"], query["since"], query["before"], query["limit"])
    with read() as conn:
        measured = measure_runs(conn, examined)
    response = document(AnomaliesSchema(), summary_of(measured))
    if len(measured) < query["limit"]:
        return response
    further = {**request.args.to_dict(), "before": measured[-1].run["id"]}
    return link(response, next=further)
