"""The runs: a list that is filtered and paged, one run, and two compared."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import Response, request

from api.dashboard.blueprint import bp
from api.dashboard.charts.bars import stacked
from api.dashboard.parameters import read_present_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import QueryString
from api.parameters.operations import (
    COMMANDS,
    CompareParameters,
    RunsParameters,
    read_id,
    run_filters,
    write_place,
)
from api.queries.operations.anomalies import measure_run
from api.queries.operations.anomaly_rules import judge
from api.queries.operations.comparison import compare_observations
from api.queries.operations.comparison_rules import compare_runs
from api.queries.operations.runs import find_run, find_runs
from api.request.problems import RunNotFoundError
from api.responses.cached import Representation, cached_response
from shared.model.catalogue import LISTING_SOURCES, SOURCES
from shared.model.runs import OUTCOMES, PHASES

RUNS, RUN, COMPARE = RunsParameters(), QueryString(), CompareParameters()

FILTERS = ("source", "outcome", "command", "started_since", "started_before")

COUNTED = ("requests", "retries", "pages_not_modified", "batches")

LABELS = {"phase_seconds": "phase {}", "records": "records {}", "rates": "{}"}

NOT_SENT_AGAIN = {"known": "not sent again"}
"""What the page calls the records of pages that were not modified."""

CHANGES_SHOWN = 10
"""How many listings of each kind of change a run's page names."""


class Measure(NamedTuple):
    """What was measured of two runs: `change` is b less a, `kind` how the numbers are written."""

    name: str
    kind: str
    a: Any
    b: Any
    change: Any


@bp.get("/runs")
def runs() -> Response:
    """Show the runs that the query string asks for."""
    return cached_response(show_runs)


def show_runs() -> Representation:
    """Find the runs, and make the page."""
    query = read_present_query(RUNS, request.query_string)
    with read() as conn:
        found = find_runs(conn, run_filters(query), query["page_size"], query["before"])
    return page(
        "runs/list",
        rows=len(found.rows),
        data_at=None,
        runs=found.rows,
        total=found.total,
        next_cursor=write_place(found.end, query["digest"]),
        is_filtered=any(query[name] for name in FILTERS),
        filters=FILTERS,
        choices={
            "source": SOURCES,
            "outcome": ("running", *OUTCOMES),
            "command": COMMANDS,
        },
    )


@bp.get("/runs/<run_id>")
def run(run_id: str) -> Response:
    """Show one run."""
    return cached_response(lambda: show_run(run_id))


def show_run(run_id: str) -> Representation:
    """Find all that is known of a run, and what it changed since the one before it."""
    read_present_query(RUN, request.query_string)
    with read() as conn:
        found = find_run(conn, read_id(run_id, RunNotFoundError))
        if found is None:
            raise RunNotFoundError(f"no run {run_id!r}; the page of runs lists them")
        measured = measure_run(conn, found["id"])
        previous = found["previous_run_id"]
        has_listings = found["source"] in LISTING_SOURCES
        changes = (
            compare_observations(conn, previous, found["id"], CHANGES_SHOWN)
            if has_listings and previous is not None
            else None
        )
    return page(
        "runs/run",
        part_of="runs",
        data_at=None,
        run=found,
        phases=stacked(found["phase_seconds"]),
        meanings=PHASES,
        anomalies=judge(measured) if measured else None,
        has_listings=has_listings,
        changes=changes,
    )


@bp.get("/runs/compare")
def compare() -> Response:
    """Show two runs of a source side by side."""
    return cached_response(show_comparison)


def show_comparison() -> Representation:
    """Compare the runs, and make the page."""
    query = read_present_query(COMPARE, request.query_string)
    with read() as conn:
        compared = compare_runs(conn, query["a"], query["b"], query["limit"])
    return page(
        "runs/compare",
        part_of="runs",
        data_at=None,
        **compared,
        measures=measures_of(compared),
        limit=query["limit"],
    )


def measures_of(compared: Mapping[str, Any]) -> list[Measure]:
    """List what is measured of both runs."""
    both = (compared["a"], compared["b"], compared["change"])
    groups = (("phase_seconds", "duration"), ("records", "whole"), ("rates", "rate"))
    return [
        Measure("duration", "duration", *(each["duration_seconds"] for each in both)),
        *(
            Measure(
                LABELS[group].format(NOT_SENT_AGAIN.get(name, name)),
                kind,
                *(each[group][name] for each in both),
            )
            for group, kind in groups
            for name in both[0][group]
        ),
        *(Measure(name, "whole", *(each[name] for each in both)) for name in COUNTED),
    ]
