"""CORS: pages of other origins may read responses only if their origin is configured.

flask-cors is not used: it needs Flask's automatic responses to OPTIONS, which this application
disables. A preflight would be refused with 405.
"""

from collections.abc import Collection

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

EXPOSED = (
    "Link, ETag, Retry-After, X-Request-Id, traceparent, Server-Timing, RateLimit, RateLimit-Policy"
    ", X-Total-Count, X-Data-Version, X-Until, X-More, X-Stale-Sources"
    ", Repr-Digest, Content-Disposition"
)
"""Response headers that a page's script may read in addition to the safelisted ones."""

ALLOWED = "Authorization, X-API-Key, X-Request-Id, If-None-Match, If-Modified-Since, traceparent"
"""Request headers that a page's script may send."""

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": ALLOWED,
    "Access-Control-Max-Age": "7200",
}


def allow_origins(app: Flask, origins: Collection[str]) -> None:
    """Allow pages of these origins to read every response, including problems; `*` is any origin.

    Browser credentials are never allowed. A page's script sends the API key itself.
    """
    if not origins:
        return
    any_origin = "*" in origins

    def is_allowed() -> bool:
        origin = request.headers.get("Origin")
        return origin is not None and (any_origin or origin in origins)

    def answer_preflight() -> Response | None:
        """Answer a browser's preflight request, for existing routes only."""
        is_preflight = (
            request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        )
        route_exists = isinstance(request.routing_exception, MethodNotAllowed)
        if not (is_preflight and route_exists and is_allowed()):
            return None
        response = Response(status=204, headers=PREFLIGHT)
        del response.headers["Content-Type"]  # the response has no body
        return response

    def allow(response: Response) -> Response:
        if not any_origin:
            response.vary.add("Origin")
        if is_allowed():
            response.headers["Access-Control-Allow-Origin"] = (
                "*" if any_origin else request.headers["Origin"]
            )
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
        return response

    app.before_request(answer_preflight)
    app.after_request(allow)
