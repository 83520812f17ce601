"""Metrics of this process: its requests, and their use of the database."""

import time
from types import TracebackType
from typing import Any, Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from sqlalchemy import Engine, event
from werkzeug.exceptions import ServiceUnavailable

disable_created_metrics()  # type: ignore[no-untyped-call]  # omit the `_created` series

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable with the folder in which the processes of one API share their metrics. prometheus-client
reads it when imported; if it is unset, it counts in memory, for this process only."""

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
QUERY_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
WAIT_SECONDS = (0.0001, 0.001, 0.01, 0.1, 0.25, 0.5, 1)

UNMATCHED = "unmatched"
OTHER = "other"
"""Labels for paths without a route, and for methods that HTTP does not define. Clients cannot
create new series by sending arbitrary paths or methods."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

CONTEXT = 4
"""Index of the execution context in the arguments of SQLAlchemy's cursor events."""


class Instruments:
    """The metrics of one application. A call costs microseconds and never makes a system call."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make: dict[str, Any] = {"namespace": "kasparro", "registry": self.registry}
        self._requests = Counter(
            "http_requests_total",
            "Requests answered. Their rate by status shows the load and the failures.",
            ["route", "method", "status"],
            **make,
        )
        self._request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time until the response was ready to send; for a streamed response, until its end. "
            "Watch the 99th percentile.",
            ["route"],
            buckets=REQUEST_SECONDS,
            **make,
        )
        self._response_bytes = Counter(
            "http_response_bytes_total",
            "Bytes of response bodies.",
            ["route"],
            **make,
        )
        self._in_progress = Gauge(
            "http_requests_in_progress",
            "Requests in progress, this scrape included. "
            "Near processes x threads, further requests wait.",
            multiprocess_mode="livesum",
            **make,
        )
        self._cache = Counter(
            "cache_answers_total",
            "Responses by origin: cached (`hit`) or computed (`miss`).",
            ["route", "result"],
            **make,
        )
        self._exports_cut = Counter(
            "exports_cut_total",
            "Exports cut because the client read too slowly (`too_slow`) or for too long "
            "(`too_long`).",
            ["reason"],
            **make,
        )
        self._waits = Histogram(
            "database_connection_wait_seconds",
            "Time until a request had a connection. If it rises, the pool is too small or "
            "queries are too slow.",
            buckets=WAIT_SECONDS,
            **make,
        )
        self._queries = Histogram(
            "database_query_duration_seconds",
            "Time until a statement was answered, rows included.",
            buckets=QUERY_SECONDS,
            **make,
        )
        self._connections = Gauge(
            "database_connections_in_use",
            "Connections that requests hold.",
            multiprocess_mode="livesum",
            **make,
        )
        self._failures = Counter(
            "database_failures_total",
            "Requests that failed because of the database, by problem code. Any increase needs "
            "investigation.",
            ["code"],
            **make,
        )
        self._by_labels: dict[tuple[str, str, int], Counter] = {}
        self._by_route: dict[str, tuple[Histogram, Counter]] = {}
        self._by_result: dict[tuple[str, str], Counter] = {}
        for code in ("database_unavailable", "query_timeout", "schema_not_ready"):
            self._failures.labels(code)
        for reason in ("too_slow", "too_long"):
            self._exports_cut.labels(reason)

    def request_started(self) -> None:
        """Count a request in progress."""
        self._in_progress.inc()

    def request_finished(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request and its duration."""
        self._in_progress.dec()
        labels = (route, method, status)
        counter = self._by_labels.get(labels)
        if counter is None:
            label = method if method in METHODS else OTHER
            counter = self._requests.labels(route, label, str(status))
            if label is method:
                self._by_labels[labels] = counter
        counter.inc()
        self._of_route(route)[0].observe(seconds)

    def request_refused(self, status: int) -> None:
        """Count a request that the server refused before it reached the application."""
        self._requests.labels(UNMATCHED, OTHER, str(status)).inc()

    def body_sent(self, route: str, count: int) -> None:
        """Count the bytes of a response body."""
        self._of_route(route)[1].inc(count)

    def cache_used(self, route: str, result: str) -> None:
        """Count a response by its origin: `hit` or `miss`."""
        counter = self._by_result.get((route, result))
        if counter is None:
            counter = self._by_result[route, result] = self._cache.labels(route, result)
        counter.inc()

    def export_cut(self, reason: str) -> None:
        """Count an export that was not sent completely."""
        self._exports_cut.labels(reason).inc()

    def connection_use(self) -> "ConnectionUse":
        """Measure one use of a connection. Enter it before the connection is requested."""
        return ConnectionUse(self._waits, self._connections, self._failures)

    def time_statements(self, engine: Engine) -> None:
        """Record the duration of the engine's statements."""

        def started(*args: Any) -> None:
            args[CONTEXT].started = time.perf_counter()

        def ended(*args: Any) -> None:
            self._queries.observe(time.perf_counter() - args[CONTEXT].started)

        event.listen(engine, "before_cursor_execute", started)
        event.listen(engine, "after_cursor_execute", ended)

    def _of_route(self, route: str) -> tuple[Histogram, Counter]:
        found = self._by_route.get(route)
        if found is None:
            found = (self._request_seconds.labels(route), self._response_bytes.labels(route))
            self._by_route[route] = found
        return found


class ConnectionUse:
    """One use of a connection: the wait for it, the time while it is in use, and its failure."""

    __slots__ = ("_connections", "_failures", "_is_in_use", "_started", "_waits")

    def __init__(self, waits: Histogram, connections: Gauge, failures: Counter) -> None:
        self._waits, self._connections, self._failures = waits, connections, failures
        self._is_in_use = False
        self._started = time.perf_counter()

    def connected(self) -> None:
        """Record that the connection is available; the wait ends here."""
        self._waits.observe(time.perf_counter() - self._started)
        self._connections.inc()
        self._is_in_use = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_in_use:
            self._connections.dec()
        if isinstance(raised, ServiceUnavailable):
            self._failures.labels(getattr(raised, "problem", OTHER)).inc()
