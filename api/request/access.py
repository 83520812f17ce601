"""What holds for every request: its id, its log line, the headers of its answer."""

import logging
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Flask, Request, Response, current_app, g, request

from api.request.instruments import UNMATCHED, Instruments
from api.request.timing import server_timing
from api.request.tracing import Trace, take_up

SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
"""What is taken as a caller's `X-Request-Id`: nothing that could break a header or a log line."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

LONGEST_PATH = 256
LONGEST_AGENT = 128
"""Characters of a path, and of a `User-Agent`, that are logged."""

log = logging.getLogger("api.request.access")


def watch_requests(app: Flask) -> None:
    """Give each request an id and its place in a trace; log, count and complete its answer."""
    app.before_request(begin)
    app.after_request(end)


@dataclass(slots=True)
class Arrival:
    """A request as it comes in: when, by which id, and its place in a trace."""

    started: float
    request_id: str
    trace: Trace

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> "Arrival":
        """Take the caller's id and trace where they are usable, or make new ones."""
        started = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        named = given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex
        trace = take_up(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_TRACESTATE"))
        return cls(started, named, trace)

    def bind(self) -> None:
        """Have what this thread logs from now on carry these ids alone."""
        structlog.contextvars.clear_contextvars()  # of a request that broke off
        trace = self.trace
        ids = {"request_id": self.request_id, "trace_id": trace.trace_id, "span_id": trace.span_id}
        if trace.parent_id:
            ids["parent_id"] = trace.parent_id
        structlog.contextvars.bind_contextvars(**ids)

    def seconds(self) -> float:
        """Return how long the request has taken so far."""
        return time.perf_counter() - self.started

    def latency_ms(self) -> float:
        """Return how long it has taken so far, in milliseconds, as `meta` says it."""
        return round(self.seconds() * 1000, 3)

    def headers(self, parts: Mapping[str, float], cache: str | None) -> list[tuple[str, str]]:
        """Write the headers that tell a request and its answer from every other."""
        state = self.trace.state
        return [
            ("X-Request-Id", self.request_id),
            ("traceparent", self.trace.traceparent),
            *([("tracestate", state)] if state else []),
            ("Server-Timing", server_timing(parts, self.seconds(), cache)),
        ]


def begin() -> None:
    own, asked, counts = _here()
    own.arrival = arrival = Arrival.of(asked.environ)
    counts.request_started()
    arrival.bind()


def end(response: Response) -> Response:
    own, asked, counts = _here()
    headers = response.headers
    present = {name.lower() for name, _ in headers}
    arrival: Arrival = own.arrival
    for name, value in arrival.headers(own.get("seconds", {}), own.get("cache")):
        if name.lower() in present:
            headers.set(name, value)
        else:
            headers.add(name, value)  # for a tenth of what `set` costs
    for name, value in HEADERS.items():
        if name.lower() not in present:
            headers.add(name, value)
    if response.is_streamed:
        _finish_when_sent(own, asked, counts, response)
    else:
        count = 0 if asked.method == "HEAD" else response.content_length
        _finish(own, asked, counts, response.status_code, count or 0)
    return response


def _here() -> tuple[Any, Request, Instruments]:
    """Return this request's own things, not the stand-ins that look them up at every use."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    return (
        g._get_current_object(),  # noqa: SLF001
        request._get_current_object(),  # type: ignore[attr-defined]  # noqa: SLF001
        app.extensions["instruments"],
    )


def _finish_when_sent(own: Any, asked: Request, counts: Instruments, response: Response) -> None:
    """Count and log an answer that is still to be made once the server has sent it."""
    sent = 0

    def count(chunks: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal sent
        for chunk in chunks:
            sent += len(chunk)
            yield chunk

    source = response.response
    response.response = count(response.iter_encoded())
    if close := getattr(source, "close", None):
        response.call_on_close(close)
    response.call_on_close(lambda: _finish(own, asked, counts, response.status_code, sent))


def _finish(own: Any, asked: Request, counts: Instruments, status: int, sent: int) -> None:
    parts: dict[str, float] = own.get("seconds", {})
    record(
        counts,
        own.arrival,
        asked.environ,
        Outcome(
            asked.method,
            asked.url_rule.rule if asked.url_rule else None,
            asked.path,
            status,
            sent,
            own.get("rows", 0),
            parts.get("db", 0.0),
            own.get("cache"),
        ),
    )


@dataclass(slots=True)
class Outcome:
    """What came of a request, for its log line and the metrics."""

    method: str
    route: str | None
    path: str
    status: int
    sent: int
    """Bytes of the body."""
    rows: int
    db_seconds: float
    cache: str | None


def record(
    counts: Instruments, arrival: Arrival, environ: Mapping[str, Any], outcome: Outcome
) -> None:
    """Count a request that was answered, and write its log line."""
    seconds = arrival.seconds()
    route = outcome.route or UNMATCHED
    counts.request_finished(route, outcome.method, outcome.status, seconds)
    counts.body_sent(route, outcome.sent)
    if outcome.cache:
        counts.cache_used(route, outcome.cache)
    if log.isEnabledFor(logging.INFO):
        values = {
            "method": outcome.method[:LONGEST_AGENT],
            "route": outcome.route,
            "path": outcome.path[:LONGEST_PATH],
            "status": outcome.status,
            "ms": round(seconds * 1000, 3),
            "db_ms": round(outcome.db_seconds * 1000, 3),
            "rows": outcome.rows,
            "bytes": outcome.sent,
            "cache": outcome.cache,
            "client": environ.get("REMOTE_ADDR"),
            "user_agent": environ.get("HTTP_USER_AGENT", "")[:LONGEST_AGENT],
        }
        # As `log.info` does, without looking through the stack for its caller.
        line = log.makeRecord(
            log.name, logging.INFO, __file__, 0, "request", (), None, extra=values
        )
        log.handle(line)
    structlog.contextvars.clear_contextvars()  # what this thread logs next is another's


def note_cache(*, hit: bool) -> None:
    """Note whether this request's answer was there already, or had to be made."""
    g.cache = "hit" if hit else "miss"


def arrival() -> Arrival:
    """Return how this request came in."""
    came: Arrival = g.arrival
    return came


def request_id() -> str:
    """Return this request's id."""
    return arrival().request_id


def latency_ms() -> float:
    """Return how long this request has taken so far, in milliseconds."""
    return arrival().latency_ms()
