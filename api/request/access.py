"""The id, log line, metrics and common headers of every request."""

import logging
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Flask, Request, Response, current_app, g, request

from api.request.process_metrics import UNMATCHED, Instruments
from api.request.timing import server_timing
from api.request.tracing import Trace, continue_trace

SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
"""The accepted `X-Request-Id` of a client. Other ids could break a header or a log line."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

MAX_PATH_LENGTH = 256
MAX_AGENT_LENGTH = 128
"""Longer paths and `User-Agent` headers are truncated in the log."""

log = logging.getLogger("api.request.access")


def observe_requests(app: Flask) -> None:
    """Assign each request an id and a span; add the common headers, log and count it."""
    app.before_request(begin)
    app.after_request(end)


@dataclass(slots=True)
class Arrival:
    """The start time, id and trace of a request."""

    started: float
    request_id: str
    trace: Trace

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> "Arrival":
        """Use the client's id and trace if they are valid, or create new ones."""
        started = time.perf_counter()
        client_id = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = client_id if SAFE_ID.fullmatch(client_id) else uuid.uuid4().hex
        trace = continue_trace(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_TRACESTATE"))
        return cls(started, request_id, trace)

    def bind(self) -> None:
        """Add these ids to all log lines that this thread writes from now on."""
        structlog.contextvars.clear_contextvars()  # an aborted request may have left its ids
        trace = self.trace
        ids = {"request_id": self.request_id, "trace_id": trace.trace_id, "span_id": trace.span_id}
        if trace.parent_id:
            ids["parent_id"] = trace.parent_id
        structlog.contextvars.bind_contextvars(**ids)

    def seconds(self) -> float:
        """Return the time since the request started."""
        return time.perf_counter() - self.started

    def latency_ms(self) -> float:
        """Return `meta.api_latency_ms`: the time since the request started."""
        return round(self.seconds() * 1000, 3)

    def headers(self, parts: Mapping[str, float], cache: str | None) -> list[tuple[str, str]]:
        """Write the headers that identify and time the request. `parts` are seconds by part."""
        state = self.trace.state
        return [
            ("X-Request-Id", self.request_id),
            ("traceparent", self.trace.traceparent),
            *([("tracestate", state)] if state else []),
            ("Server-Timing", server_timing(parts, self.seconds(), cache)),
        ]


def begin() -> None:
    context, req, instruments = _current_objects()
    context.arrival = arrival = Arrival.of(req.environ)
    instruments.request_started()
    arrival.bind()


def end(response: Response) -> Response:
    context, req, instruments = _current_objects()
    headers = response.headers
    present = {name.lower() for name, _ in headers}
    arrival: Arrival = context.arrival
    for name, value in arrival.headers(context.get("seconds", {}), context.get("cache")):
        if name.lower() in present:
            headers.set(name, value)
        else:
            headers.add(name, value)  # ten times faster than `set`
    for name, value in HEADERS.items():
        if name.lower() not in present:
            headers.add(name, value)
    if response.is_streamed:
        _finish_when_sent(context, req, instruments, response)
    else:
        count = 0 if req.method == "HEAD" else response.content_length
        _finish(context, req, instruments, response.status_code, count or 0)
    return response


def _current_objects() -> tuple[Any, Request, Instruments]:
    """Return `g`, `request` and the instruments without Flask's proxies, which cost time."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    return (
        g._get_current_object(),  # noqa: SLF001
        request._get_current_object(),  # type: ignore[attr-defined]  # noqa: SLF001
        app.extensions["instruments"],
    )


def _finish_when_sent(
    context: Any, req: Request, instruments: Instruments, response: Response
) -> None:
    """Count and log a streamed response after the server has sent it."""
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
    response.call_on_close(lambda: _finish(context, req, instruments, response.status_code, sent))


def _finish(context: Any, req: Request, instruments: Instruments, status: int, sent: int) -> None:
    parts: dict[str, float] = context.get("seconds", {})
    record(
        instruments,
        context.arrival,
        req.environ,
        Outcome(
            req.method,
            req.url_rule.rule if req.url_rule else None,
            req.path,
            status,
            sent,
            context.get("rows", 0),
            parts.get("db", 0.0),
            context.get("cache"),
        ),
    )


@dataclass(slots=True)
class Outcome:
    """The result of a request, for its log line and the metrics."""

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
    instruments: Instruments, arrival: Arrival, environ: Mapping[str, Any], outcome: Outcome
) -> None:
    """Count a finished request and write its log line."""
    seconds = arrival.seconds()
    route = outcome.route or UNMATCHED
    instruments.request_finished(route, outcome.method, outcome.status, seconds)
    instruments.body_sent(route, outcome.sent)
    if outcome.cache:
        instruments.cache_used(route, outcome.cache)
    if log.isEnabledFor(logging.INFO):
        values = {
            "method": outcome.method[:MAX_AGENT_LENGTH],
            "route": outcome.route,
            "path": outcome.path[:MAX_PATH_LENGTH],
            "status": outcome.status,
            "ms": round(seconds * 1000, 3),
            "db_ms": round(outcome.db_seconds * 1000, 3),
            "rows": outcome.rows,
            "bytes": outcome.sent,
            "cache": outcome.cache,
            "client": environ.get("REMOTE_ADDR"),
            "user_agent": environ.get("HTTP_USER_AGENT", "")[:MAX_AGENT_LENGTH],
        }
        # Like `log.info`, but without the search of the stack for the caller.
        line = log.makeRecord(
            log.name, logging.INFO, __file__, 0, "request", (), None, extra=values
        )
        log.handle(line)
    structlog.contextvars.clear_contextvars()  # the next log line belongs to another request


def note_cache(*, hit: bool) -> None:
    """Note for the log and metrics whether the response came from the cache."""
    g.cache = "hit" if hit else "miss"


def arrival() -> Arrival:
    """Return the arrival of the current request."""
    current: Arrival = g.arrival
    return current


def request_id() -> str:
    return arrival().request_id


def latency_ms() -> float:
    return arrival().latency_ms()
