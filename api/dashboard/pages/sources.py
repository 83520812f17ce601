"""The sources: whether each is fresh, late or failing, its next run, its budget, its last days."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Response, current_app, request
from marshmallow import validate

from api.dashboard.blueprint import bp
from api.dashboard.charts.timeline import timeline
from api.dashboard.parameters import read_present_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import Count, QueryString
from api.queries.operations.freshness import assess
from api.queries.operations.run_days import count_days
from api.queries.operations.sources import read_loading
from api.queries.operations.stats import read_stats
from api.responses.cached import Representation, shared_response
from shared.model.catalogue import LISTING_SOURCES, SOURCES
from shared.settings import Settings

SPANS = (30, 90, 365)
"""How many days the page offers."""


class SourcesParameters(QueryString):
    """Parameters of the page."""

    days = Count(load_default=90, validate=validate.Range(7, 366))


PARAMETERS = SourcesParameters()

LONGEST_ERROR = 240
"""How much of a run's error a source shows; the page of the run has all of it."""

NOT_READ = "not read"
STATES: Mapping[str | None, str] = {
    None: "fresh",
    "late": "late",
    "outdated": "late",
    "no_run": NOT_READ,
    "sample": "sample",
}
"""What a source is by the reason of its health; with another reason its last run was not good."""


@bp.get("/sources")
def sources() -> Response:
    """Show the state of each source. It changes with time, without a commit."""
    return shared_response(show_sources)


def show_sources() -> Representation:
    """Judge each source, count its days, and make the page."""
    query = read_present_query(PARAMETERS, request.query_string)
    settings: Settings = current_app.extensions["settings"]
    with read() as conn:
        stats = read_stats(conn, SOURCES, settings)["sources"]
        loading = read_loading(conn, settings.sources)
        days = {each["source"]: each["days"] for each in count_days(conn, SOURCES, query["days"])}
    started = [each["last_run"]["started_at"] for each in stats if each["last_run"]]
    interval = timedelta(seconds=settings.run_interval_seconds)
    health = {each["source"]: each for each in assess(loading, interval)["sources"]}
    return page(
        "sources",
        rows=len(stats),
        data_at=max(started, default=None),
        sources=stats,
        health=health,
        states={each["source"]: state_of(health.get(each["source"])) for each in stats},
        timelines={name: timeline(each) for name, each in days.items()},
        days=query["days"],
        spans=SPANS,
        listing_sources=LISTING_SOURCES,
        first_line=first_line,
        has_run=any(each["last_run"] or each["running"] for each in stats),
    )


def first_line(error: str) -> str:
    """Return the first line of the error of a run, in which long lists are cut."""
    line = error.partition("\n")[0]
    return line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]}…"


def state_of(health: Mapping[str, Any] | None) -> str:
    """Say in a word how a source does: `fresh`, `late`, `failing`, `partial` or why not."""
    if health is None:
        return "not in the loop"
    last = health["last_run"]
    usual = "failing" if last and last["outcome"] == "failed" else "partial"
    return STATES.get(health["reason"], usual)
