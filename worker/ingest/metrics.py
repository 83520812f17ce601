"""What the loop counts and times for Prometheus, in this process; served where a port is set."""

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
"""What a run came to that did not come to its end, beside the outcomes of the table `runs`."""

Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


class Metrics:
    """One worker's counts since it started; what is stored for good is in the API's `/metrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._runs = self._of_sources(
            Counter, "runs_total", "Runs by outcome; those without a row of theirs too.", "outcome"
        )
        self._run_seconds = self._of_sources(
            Histogram,
            "run_duration_seconds",
            "Time that a run took; with longer ones a pass does not fit into the interval.",
            buckets=RUN_SECONDS,
        )
        self._records = self._of_sources(
            Counter, "records_total", "Records loaded, by what became of them.", "result"
        )
        self._batch_seconds = self._of_sources(
            Histogram,
            "batch_duration_seconds",
            "Time that a batch's transaction took; when it rises, the database is slow.",
            buckets=BATCH_SECONDS,
        )
        self._requests = self._of_sources(
            Counter,
            "upstream_requests_total",
            "Requests sent, by HTTP status; `none` where no answer came.",
            "status",
        )
        self._retries = self._of_sources(
            Counter, "upstream_retries_total", "Requests that failed and were sent again."
        )
        self._waits = self._of_sources(
            Counter,
            "upstream_wait_seconds_total",
            "Time waited for the rate limit's next turn, and between two attempts.",
        )
        self._in_progress = self._of_sources(
            Gauge, "run_in_progress", "Whether a run is at work on the source."
        )
        self._success = self._of_sources(
            Gauge, "last_success_timestamp_seconds", "When the source's last good run ended."
        )
        self._passed = Gauge(
            "kasparro_worker_last_pass_timestamp_seconds",
            "When the loop last came through; older than two intervals, it hangs.",
            registry=self.registry,
        )
        Info("kasparro_worker_build", "Which code works.", registry=self.registry).info(
            {
                "version": user_agent().partition("/")[2],
                "schema_revision": SCHEMA_REVISION,
                "python": platform.python_version(),
            }
        )
        ProcessCollector(registry=self.registry)

    def _of_sources(
        self, kind: type[Instrument], name: str, says: str, *labels: str, **more: Any
    ) -> Instrument:
        name = f"kasparro_worker_{name}"
        return kind(name, says, ["source", *labels], registry=self.registry, **more)

    @contextmanager
    def running(self, source: str) -> Iterator[None]:
        """Time a run; where it does not come to its end, count what ended it."""
        started = time.monotonic()
        try:
            with self._in_progress.labels(source).track_inprogress():
                yield
        except Exception as exc:
            self._runs.labels(source, NO_OUTCOME.get(type(exc), "crashed")).inc()
            raise
        finally:
            self._run_seconds.labels(source).observe(time.monotonic() - started)

    def ended(self, source: str, ending: Ending) -> None:
        """Count a run that came to its end."""
        self._runs.labels(source, ending.outcome).inc()
        if ending.outcome == "succeeded":
            self._success.labels(source).set_to_current_time()

    def loaded(self, source: str, counts: Counts, seconds: float) -> None:
        """Count a batch that is committed."""
        self._batch_seconds.labels(source).observe(seconds)
        for result in ("new", "unchanged", "rejected"):
            self._records.labels(source, result).inc(getattr(counts, result))

    def answered(self, source: str, status: int | None) -> None:
        """Count a request that was sent; None where no answer came."""
        self._requests.labels(source, str(status or "none")).inc()

    def asked(self, source: str, fetch: Http) -> None:
        """Count what a run's way to the network has been through."""
        self._retries.labels(source).inc(fetch.retries)
        self._waits.labels(source).inc(fetch.waited)

    def passed(self) -> None:
        """Note that the loop came through."""
        self._passed.set_to_current_time()

    @contextmanager
    def served(self, host: str, port: int | None) -> Iterator[None]:
        """Serve `/metrics` during the `with` block; without a port, do not.

        Raises:
            ConfigurationError: nothing can listen there.
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
