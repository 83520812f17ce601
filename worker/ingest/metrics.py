"""Prometheus metrics of the worker process; served if `METRICS_PORT` is set."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from shared.errors import (
    ConfigurationError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    LockedError,
)
from shared.schema.base import SCHEMA_REVISION
from worker.fetch.client import Http, user_agent
from worker.ingest.batch.contents import Counts
from worker.ingest.judging.ending import Ending

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each

RUN_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
BATCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

NO_OUTCOME = {
    LockedError: "locked",
    DatabaseUnavailableError: "database_away",
    DatabaseRefusedError: "database_refused",
}
"""Values of `outcome` for runs that raised an error; other runs have the outcome in `runs`."""

Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


class Metrics:
    """Metrics since the start of this worker. The API's `/metrics` has those from the database."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._runs = self._of_sources(
            Counter, "runs_total", "Runs by outcome, including those without a row.", "outcome"
        )
        self._run_seconds = self._of_sources(
            Histogram,
            "run_duration_seconds",
            "Duration of runs; if it exceeds the interval, passes are late.",
            buckets=RUN_SECONDS,
        )
        self._records = self._of_sources(
            Counter, "records_total", "Records loaded, by result.", "result"
        )
        self._batch_seconds = self._of_sources(
            Histogram,
            "batch_duration_seconds",
            "Duration of a batch's transaction; it rises if the database is slow.",
            buckets=BATCH_SECONDS,
        )
        self._requests = self._of_sources(
            Counter,
            "upstream_requests_total",
            "Requests sent, by HTTP status; `none` if no response arrived.",
            "status",
        )
        self._retries = self._of_sources(
            Counter, "upstream_retries_total", "Requests that failed and were repeated."
        )
        self._waits = self._of_sources(
            Counter,
            "upstream_wait_seconds_total",
            "Time waited for the request budget and between attempts.",
        )
        self._in_progress = self._of_sources(
            Gauge, "run_in_progress", "1 while a run of the source is in progress."
        )
        self._success = self._of_sources(
            Gauge, "last_success_timestamp_seconds", "End of the source's last successful run."
        )
        self._last_pass = Gauge(
            "kasparro_worker_last_pass_timestamp_seconds",
            "End of the loop's last pass; if it is older than two intervals, the loop hangs.",
            registry=self.registry,
        )
        Info("kasparro_worker_build", "The release that runs.", registry=self.registry).info(
            {
                "version": user_agent().partition("/")[2],
                "schema_revision": SCHEMA_REVISION,
                "python": platform.python_version(),
            }
        )
        ProcessCollector(registry=self.registry)

    def _of_sources(
        self, kind: type[Instrument], name: str, description: str, *labels: str, **options: Any
    ) -> Instrument:
        name = f"kasparro_worker_{name}"
        return kind(name, description, ["source", *labels], registry=self.registry, **options)

    @contextmanager
    def running(self, source: str) -> Iterator[None]:
        """Measure the duration of a run; if it raises an error, count it by the kind of error."""
        started = time.monotonic()
        try:
            with self._in_progress.labels(source).track_inprogress():
                yield
        except Exception as exc:
            self._runs.labels(source, NO_OUTCOME.get(type(exc), "crashed")).inc()
            raise
        finally:
            self._run_seconds.labels(source).observe(time.monotonic() - started)

    def record_end(self, source: str, ending: Ending) -> None:
        """Count a run that ended without an exception."""
        self._runs.labels(source, ending.outcome).inc()
        if ending.outcome == "succeeded":
            self._success.labels(source).set_to_current_time()

    def record_batch(self, source: str, counts: Counts, seconds: float) -> None:
        """Count a committed batch, and the seconds that it took."""
        self._batch_seconds.labels(source).observe(seconds)
        for result in ("new", "unchanged", "rejected"):
            self._records.labels(source, result).inc(getattr(counts, result))

    def record_request(self, source: str, status: int | None) -> None:
        """Count a request that was sent; `status` is None if no response arrived."""
        self._requests.labels(source, str(status or "none")).inc()

    def record_retries(self, source: str, fetch: Http) -> None:
        """Count the retries and the waiting time of a run."""
        self._retries.labels(source).inc(fetch.retries)
        self._waits.labels(source).inc(fetch.waited)

    def record_pass(self) -> None:
        self._last_pass.set_to_current_time()

    @contextmanager
    def serving(self, host: str, port: int | None) -> Iterator[None]:
        """Serve `/metrics` during the `with` block; without a port, serve nothing.

        Raises:
            ConfigurationError: the address is not available.
        """
        if port is None:
            yield
            return
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as exc:
            raise ConfigurationError(
                f"METRICS_HOST, METRICS_PORT: cannot listen at {host}:{port}: {exc.strerror}"
            ) from exc
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
