"""What holds for every request: its id, its log line, the headers of its answer."""

import logging
import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request

SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
"""What is taken as a caller's `X-Request-Id`: nothing that could break a header or a log line."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

log = logging.getLogger("api.access")


def watch_requests(app: Flask) -> None:
    """Give each request an id, log it when it is answered, and complete its headers."""
    app.before_request(begin)
    app.after_request(end)


def begin() -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id())
    g.started = time.perf_counter()


def end(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id()
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    log.info(
        "request",
        extra={
            "method": request.method,
            "route": request.url_rule.rule if request.url_rule else None,
            "path": request.path,
            "status": response.status_code,
            "ms": latency_ms(),
            "rows": g.get("rows", 0),
            "bytes": response.content_length,
            "client": request.remote_addr,
        },
    )
    return response


def request_id() -> str:
    """Return this request's id: the caller's `X-Request-Id` where it is usable, or a new one."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex
    return str(g.request_id)


def latency_ms() -> float:
    """Return how long this request has taken so far, in milliseconds."""
    started: float = g.started
    return round((time.perf_counter() - started) * 1000, 3)
