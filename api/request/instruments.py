"""What this process counts and times: its requests, and what they ask of the database."""

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

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each, that says when it was first counted

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where the processes of one API count together. prometheus-client looks for this variable when it
is imported, and counts in memory, for this process alone, where it is unset."""

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
QUERY_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
WAIT_SECONDS = (0.0001, 0.001, 0.01, 0.1, 0.25, 0.5, 1)

UNMATCHED = "unmatched"
OTHER = "other"
"""Labels of every path that no route has, and of every method that HTTP does not define: what a
client makes up never becomes a series."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

CONTEXT = 4
"""Where, in what SQLAlchemy hands to a listener, the statement's own state is."""


class Instruments:
    """One application's counts. Each call costs some microseconds, and never a system call."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make: dict[str, Any] = {"namespace": "kasparro", "registry": self.registry}
        self._requests = Counter(
            "http_requests_total",
            "Requests answered; their rate by status says how much is asked and how much fails.",
            ["route", "method", "status"],
            **make,
        )
        self._request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time until a request's answer was ready to send (a streamed one: until its end); "
            "watch its 99th percentile.",
            ["route"],
            buckets=REQUEST_SECONDS,
            **make,
        )
        self._response_bytes = Counter(
            "http_response_bytes_total",
            "Bytes of answers' bodies; what the traffic is made of.",
            ["route"],
            **make,
        )
        self._in_progress = Gauge(
            "http_requests_in_progress",
            "Requests under way, this scrape included; near processes x threads, others wait.",
            multiprocess_mode="livesum",
            **make,
        )
        self._cache = Counter(
            "cache_answers_total",
            "Answers by where they came from; the share of `hit` says what the cache is worth.",
            ["route", "result"],
            **make,
        )
        self._exports_cut = Counter(
            "exports_cut_total",
            "Exports that were cut because their client was too slow (`too_slow`) or took too long "
            "in all (`too_long`).",
            ["reason"],
            **make,
        )
        self._waits = Histogram(
            "database_connection_wait_seconds",
            "Time until a request had a connection; when it rises, the pool is too small or "
            "queries too slow.",
            buckets=WAIT_SECONDS,
            **make,
        )
        self._queries = Histogram(
            "database_query_duration_seconds",
            "Time until a statement was answered, its rows received included.",
            buckets=QUERY_SECONDS,
            **make,
        )
        self._connections = Gauge(
            "database_connections_in_use",
            "Connections that requests hold at present.",
            multiprocess_mode="livesum",
            **make,
        )
        self._failures = Counter(
            "database_failures_total",
            "Requests that the database failed, by the problem's code; anything but a rest at 0 "
            "needs a look.",
            ["code"],
            **make,
        )
        self._by_answer: dict[tuple[str, str, int], Counter] = {}
        self._by_route: dict[str, tuple[Histogram, Counter]] = {}
        self._by_result: dict[tuple[str, str], Counter] = {}
        for code in ("database_unavailable", "query_timeout", "schema_not_ready"):
            self._failures.labels(code)
        for reason in ("too_slow", "too_long"):
            self._exports_cut.labels(reason)

    def request_started(self) -> None:
        """Count a request that came in."""
        self._in_progress.inc()

    def request_finished(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._in_progress.dec()
        answer = (route, method, status)
        counter = self._by_answer.get(answer)
        if counter is None:
            known = method if method in METHODS else OTHER
            counter = self._requests.labels(route, known, str(status))
            if known is method:
                self._by_answer[answer] = counter
        counter.inc()
        self._of_route(route)[0].observe(seconds)

    def request_refused(self, status: int) -> None:
        """Count what is no request, and never came to the application."""
        self._requests.labels(UNMATCHED, OTHER, str(status)).inc()

    def body_sent(self, route: str, count: int) -> None:
        """Count the bytes of an answer's body."""
        self._of_route(route)[1].inc(count)

    def cache_used(self, route: str, result: str) -> None:
        """Count where an answer came from: `hit` or `miss`."""
        counter = self._by_result.get((route, result))
        if counter is None:
            counter = self._by_result[route, result] = self._cache.labels(route, result)
        counter.inc()

    def export_cut(self, reason: str) -> None:
        """Count an export that its client did not get whole."""
        self._exports_cut.labels(reason).inc()

    def reading(self) -> "Reading":
        """Watch one use of a connection, from before it is asked for."""
        return Reading(self._waits, self._connections, self._failures)

    def watch(self, engine: Engine) -> None:
        """Time the engine's statements."""

        def started(*given: Any) -> None:
            given[CONTEXT].started = time.perf_counter()

        def ended(*given: Any) -> None:
            self._queries.observe(time.perf_counter() - given[CONTEXT].started)

        event.listen(engine, "before_cursor_execute", started)
        event.listen(engine, "after_cursor_execute", ended)

    def _of_route(self, route: str) -> tuple[Histogram, Counter]:
        found = self._by_route.get(route)
        if found is None:
            found = (self._request_seconds.labels(route), self._response_bytes.labels(route))
            self._by_route[route] = found
        return found


class Reading:
    """One use of a connection: how long it was waited for, that it is held, how it failed."""

    __slots__ = ("_connections", "_failures", "_holds", "_started", "_waits")

    def __init__(self, waits: Histogram, connections: Gauge, failures: Counter) -> None:
        self._waits, self._connections, self._failures = waits, connections, failures
        self._holds = False
        self._started = time.perf_counter()

    def begins(self) -> None:
        """Note that the connection is there."""
        self._waits.observe(time.perf_counter() - self._started)
        self._connections.inc()
        self._holds = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._holds:
            self._connections.dec()
        if isinstance(raised, ServiceUnavailable):
            self._failures.labels(getattr(raised, "problem", OTHER)).inc()
