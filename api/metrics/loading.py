"""What the database says of the loading: one scrape of the API tells how the worker does."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from werkzeug.exceptions import ServiceUnavailable

from api.database.pool import read
from api.queries.assets.listing import read_version
from api.queries.loading.freshness import WORSE, assess
from api.queries.loading.sources import read_loading, read_sources, read_totals
from api.queries.loading.stats import read_open
from api.queries.schema import read_schema_revision
from api.request.problems import DatabaseUnavailableError
from shared.model.catalogue import SOURCES
from shared.model.runs import OUTCOMES
from shared.schema.base import SCHEMA_REVISION

RESULTS = ("new", "unchanged", "rejected")
"""What becomes of records; the fetched ones are the sum."""

Found = dict[str, dict[str, Any]]


class LoadingCollector(Collector):
    """Asks the database at each scrape: a few statements, whatever the length of the history."""

    def collect(self) -> Iterator[Metric]:
        """Give what is known. With the database away, that it is, and nothing stale beside it."""
        is_up = True
        metrics: list[Metric] = []
        try:
            with read() as conn:
                metrics = [*self._ask(conn)]
        except ServiceUnavailable as exc:
            is_up = not isinstance(exc, DatabaseUnavailableError)
        yield GaugeMetricFamily(
            "kasparro_database_up",
            "Whether the database answers; 0 means that every route with data answers 503.",
            value=is_up,
        )
        yield from metrics

    def _ask(self, conn: Connection) -> Iterator[Metric]:
        revision = read_schema_revision(conn)
        yield GaugeMetricFamily(
            "kasparro_schema_as_expected",
            "Whether the schema is the one of this code; with 0 run `worker migrate`.",
            value=revision == SCHEMA_REVISION,
        )
        if revision == SCHEMA_REVISION:
            settings = current_app.extensions["settings"]
            found = {each["source"]: each for each in read_sources(conn, SOURCES)}
            loading = read_loading(conn, settings.sources)
            own = [{**found[each["source"]], **each} for each in loading]
            judged = assess(own, timedelta(seconds=settings.run_interval_seconds))["sources"]
            yield from _dataset(read_totals(conn), read_version(conn)[0])
            yield from _freshness({each["source"]: each for each in judged})
            yield from _runs(found)
            yield from _open(read_open(conn, SOURCES))


def _dataset(totals: Mapping[str, Any], version: int) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "kasparro_assets", "Assets that the API serves; a drop needs a look.", totals["assets"]
    )
    yield GaugeMetricFamily("kasparro_listings", "Listings of all sources.", totals["listings"])
    yield GaugeMetricFamily(
        "kasparro_dataset_version",
        "Version of the newest change; when it stands still, nothing that a reader sees changes.",
        version,
    )


def _freshness(judged: Found) -> Iterator[Metric]:
    """Give how each source that the loop runs is judged, as `/health` does."""
    status = _gauge("status", "1 for how /health judges the source, 0 for the others.", "status")
    trouble = _gauge("trouble", "1 for the reason why the source is not `pass`.", "reason")
    success = _gauge(
        "last_success_timestamp_seconds", "When the source's last good run of its own ended."
    )
    newest = _gauge(
        "newest_observation_timestamp_seconds", "Time of its newest data, by the source's clock."
    )
    lag = _gauge("lag_seconds", "Age of its newest data; compare with the target.")
    target = _gauge("freshness_target_seconds", "How old its data may become before it is late.")
    for source, each in judged.items():
        for name in WORSE:
            status.add_metric([source, name], each["status"] == name)
        if each["reason"]:
            trouble.add_metric([source, each["reason"]], 1)
        _add(success, source, each["last_success_at"])
        _add(newest, source, each["observed_at"])
        if each["observed_at"]:
            lag.add_metric([source], (each["now"] - each["observed_at"]).total_seconds())
        target.add_metric([source], each["expected"]["freshness_target_seconds"])
    yield from (status, trouble, success, newest, lag, target)


def _runs(found: Found) -> Iterator[Metric]:
    """Give what each source's runs have done, imports included."""
    failure = _gauge("last_failure_timestamp_seconds", "When the source's last failed run ended.")
    running = _gauge("run_in_progress", "Whether a run is at work on the source.")
    last_run = _gauge("last_run_timestamp_seconds", "When its last run ended, however it did.")
    duration = _gauge("last_run_duration_seconds", "How long its last run took.")
    brought = _gauge("last_run_records", "Its last run's records by what became of them.", "result")
    recent = _gauge("recent_runs", "Its last 100 runs by outcome.", "outcome")
    records = CounterMetricFamily(
        "kasparro_source_records_total",
        "Records fetched, by what became of them; `rejected` should hardly rise.",
        labels=["source", "result"],
    )
    for source, each in found.items():
        _add(failure, source, each["last_failure_at"])
        running.add_metric([source], each["running"] is not None)
        for outcome in OUTCOMES:
            recent.add_metric([source, outcome], each["recent_runs"][outcome])
        for result in RESULTS:
            records.add_metric([source, result], each["records"][result])
        if last := each["last_run"]:
            _add(last_run, source, last["finished_at"])
            duration.add_metric([source], float(last["duration_seconds"]))
            for result in RESULTS:
                brought.add_metric([source, result], last["records"][result])
    yield from (failure, running, last_run, duration, brought, recent, records)


def _open(found: Found) -> Iterator[Metric]:
    """Give what waits for a person, and what was asked of the providers."""
    rejects = _gauge("open_rejects", "Refused records that were not read since; see /rejects.")
    drift = _gauge("open_drift", "Differences of its shape that nobody acknowledged; see /drift.")
    requests = _gauge("requests_this_month", "Requests sent to it this month (UTC), of its budget.")
    for source, each in found.items():
        rejects.add_metric([source], each["rejects"])
        drift.add_metric([source], each["drift"])
        requests.add_metric([source], each["requests"])
    yield from (rejects, drift, requests)


def _gauge(name: str, says: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kasparro_source_{name}", says, labels=["source", *labels])


def _add(gauge: GaugeMetricFamily, source: str, at: datetime | None) -> None:
    if at is not None:
        gauge.add_metric([source], at.timestamp())
