"""What holds for every request: its id, its log line, the headers of its answer."""

import logging
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import structlog
from flask import Flask, Request, Response, current_app, g, request

from api.metrics.instruments import UNMATCHED, Instruments
from api.timing import server_timing
from api.tracing import Trace, take_up

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

log = logging.getLogger("api.access")


def watch_requests(app: Flask) -> None:
    """Give each request an id and its place in a trace; log, count and complete its answer."""
    app.before_request(begin)
    app.after_request(end)


def begin() -> None:
    own, asked, counts = _here()
    own.started = time.perf_counter()
    counts.begun()
    headers = asked.headers
    own.request_id = named = _request_id(headers.get("X-Request-Id", ""))
    own.trace = trace = take_up(headers.get("traceparent"), headers.get("tracestate"))
    told = {"request_id": named, "trace_id": trace.trace_id, "span_id": trace.span_id}
    if trace.parent_id:
        told["parent_id"] = trace.parent_id
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**told)


def end(response: Response) -> Response:
    own, asked, counts = _here()
    headers = response.headers
    trace: Trace = own.trace
    seconds: dict[str, float] = own.get("seconds", {})
    total = time.perf_counter() - own.started
    present = {name.lower() for name, _ in headers}
    for name, value in {
        "X-Request-Id": own.request_id,
        "traceparent": trace.traceparent,
        "tracestate": trace.state,
        "Server-Timing": server_timing(seconds, total, own.get("cache")),
        **{name: value for name, value in HEADERS.items() if name.lower() not in present},
    }.items():
        if name.lower() in present:
            headers.set(name, value)
        elif value:
            headers.add(name, value)  # for a tenth of what `set` costs
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
    seconds = time.perf_counter() - own.started
    rule = asked.url_rule.rule if asked.url_rule else None
    cache = own.get("cache")
    counts.answered(rule or UNMATCHED, asked.method, status, seconds)
    counts.sent(rule or UNMATCHED, sent)
    if cache:
        counts.cached(rule or UNMATCHED, cache)
    parts: dict[str, float] = own.get("seconds", {})
    log.info(
        "request",
        extra={
            "method": asked.method[:LONGEST_AGENT],
            "route": rule,
            "path": asked.path[:LONGEST_PATH],
            "status": status,
            "ms": round(seconds * 1000, 3),
            "db_ms": round(parts.get("db", 0.0) * 1000, 3),
            "rows": own.get("rows", 0),
            "bytes": sent,
            "cache": cache,
            "client": asked.remote_addr,
            "user_agent": asked.headers.get("User-Agent", "")[:LONGEST_AGENT],
        },
    )
    structlog.contextvars.clear_contextvars()  # what this thread logs next is another's


def note_cache(*, hit: bool) -> None:
    """Note whether this request's answer was there already, or had to be made."""
    g.cache = "hit" if hit else "miss"


def request_id() -> str:
    """Return this request's id."""
    named: str = g.request_id
    return named


def _request_id(given: str) -> str:
    """Take the caller's `X-Request-Id` where it is usable, or make a new one."""
    return given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex


def latency_ms() -> float:
    """Return how long this request has taken so far, in milliseconds."""
    started: float = g.started
    return round((time.perf_counter() - started) * 1000, 3)
