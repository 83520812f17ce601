"""Metrics of the data and the worker's runs, read from the database at each scrape."""

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
from api.queries.assets.find import read_version
from api.queries.operations.freshness import WORSE, assess
from api.queries.operations.sources import read_loading, read_sources, read_totals
from api.queries.operations.stats import read_open
from api.queries.schema import read_schema_revision
from api.request.problems import DatabaseUnavailableError
from shared.model.catalogue import SOURCES
from shared.model.runs import OUTCOMES
from shared.schema.base import SCHEMA_REVISION

RESULTS = ("new", "unchanged", "rejected")
"""Results of records. Their sum is the number of fetched records."""

BySource = dict[str, dict[str, Any]]


class OperationsCollector(Collector):
    """Runs a few statements at each scrape; their cost does not grow with the history."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; only `kasparro_database_up` if the database cannot be reached."""
        is_up = True
        metrics: list[Metric] = []
        try:
            with read() as conn:
                metrics = [*self._read(conn)]
        except ServiceUnavailable as exc:
            is_up = not isinstance(exc, DatabaseUnavailableError)
        yield GaugeMetricFamily(
            "kasparro_database_up",
            "1 if the database answers; 0 means that every route with data answers 503.",
            value=is_up,
        )
        yield from metrics

    def _read(self, conn: Connection) -> Iterator[Metric]:
        revision = read_schema_revision(conn)
        yield GaugeMetricFamily(
            "kasparro_schema_as_expected",
            "1 if the schema belongs to this release; otherwise run `worker migrate`.",
            value=revision == SCHEMA_REVISION,
        )
        if revision == SCHEMA_REVISION:
            settings = current_app.extensions["settings"]
            sources = {each["source"]: each for each in read_sources(conn, SOURCES)}
            loading = read_loading(conn, settings.sources)
            configured = [{**sources[each["source"]], **each} for each in loading]
            interval = timedelta(seconds=settings.run_interval_seconds)
            assessed = assess(configured, interval)["sources"]
            yield from _dataset(read_totals(conn), read_version(conn)[0])
            yield from _freshness({each["source"]: each for each in assessed})
            yield from _runs(sources)
            yield from _open(read_open(conn, SOURCES))


def _dataset(totals: Mapping[str, Any], version: int) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "kasparro_assets",
        "Assets that the API serves. A drop needs investigation.",
        totals["assets"],
    )
    yield GaugeMetricFamily("kasparro_listings", "Listings of all sources.", totals["listings"])
    yield GaugeMetricFamily(
        "kasparro_dataset_version",
        "Version of the newest change. It is constant while no visible data changes.",
        version,
    )


def _freshness(assessed: BySource) -> Iterator[Metric]:
    """Yield the state of the configured sources, as `/health` reports it."""
    status = _gauge(
        "status", "1 for the present status of the source in /health, 0 for the others.", "status"
    )
    trouble = _gauge("trouble", "1 for the reason why the status is not `pass`.", "reason")
    success = _gauge(
        "last_success_timestamp_seconds", "End of the last successful run, without imports."
    )
    newest = _gauge(
        "newest_observation_timestamp_seconds", "Time of the newest data, by the source's clock."
    )
    lag = _gauge("lag_seconds", "Age of the newest data; compare it with the target.")
    target = _gauge("freshness_target_seconds", "Maximum age of the data before it is late.")
    for source, each in assessed.items():
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


def _runs(sources: BySource) -> Iterator[Metric]:
    """Yield the results of each source's runs, imports included."""
    failure = _gauge("last_failure_timestamp_seconds", "End of the last failed run.")
    running = _gauge("run_in_progress", "1 while a run is in progress.")
    last_run = _gauge("last_run_timestamp_seconds", "End of the last run, whatever its outcome.")
    duration = _gauge("last_run_duration_seconds", "Duration of the last run.")
    last_records = _gauge("last_run_records", "Records of the last run, by result.", "result")
    recent = _gauge("recent_runs", "The last 100 runs, by outcome.", "outcome")
    records = CounterMetricFamily(
        "kasparro_source_records_total",
        "Records fetched, by result; `rejected` should rarely rise.",
        labels=["source", "result"],
    )
    for source, each in sources.items():
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
                last_records.add_metric([source, result], last["records"][result])
    yield from (failure, running, last_run, duration, last_records, recent, records)


def _open(sources: BySource) -> Iterator[Metric]:
    """Yield the open rejects and drift, and the requests sent to the providers."""
    rejects = _gauge("open_rejects", "Open rejects; see /rejects.")
    drift = _gauge("open_drift", "Drift that is not acknowledged; see /drift.")
    requests = _gauge(
        "requests_this_month",
        "Requests of the month (UTC) that count against the provider's budget.",
    )
    for source, each in sources.items():
        rejects.add_metric([source], each["rejects"])
        drift.add_metric([source], each["drift"])
        requests.add_metric([source], each["requests"])
    yield from (rejects, drift, requests)


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kasparro_source_{name}", documentation, labels=["source", *labels])


def _add(gauge: GaugeMetricFamily, source: str, at: datetime | None) -> None:
    if at is not None:
        gauge.add_metric([source], at.timestamp())
