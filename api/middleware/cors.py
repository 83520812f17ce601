"""Which other sites' pages may read the answers (CORS): none, unless they are named.

Own lines, because flask-cors adds its headers to the answers that Flask gives to OPTIONS by itself,
and this application gives none: a preflight would be refused with 405.
"""

from collections.abc import Collection

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

EXPOSED = (
    "Link, ETag, Retry-After, X-Request-Id, traceparent, Server-Timing, RateLimit, RateLimit-Policy"
    ", X-Total-Count, X-Data-Version, X-Until, X-More, X-Stale-Sources"
    ", Repr-Digest, Content-Disposition"
)
"""What a page's script may read beside the few headers that it always may."""

ALLOWED = "Authorization, X-API-Key, X-Request-Id, If-None-Match, If-Modified-Since, traceparent"
"""What a page's script may send."""

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": ALLOWED,
    "Access-Control-Max-Age": "7200",
}


def allow_origins(app: Flask, origins: Collection[str]) -> None:
    """Let pages of these origins read every answer, problems too; `*` means any page.

    Never with the browser's own credentials: a key is sent by the page's script, or not at all.
    """
    if not origins:
        return
    anyone = "*" in origins

    def is_allowed() -> bool:
        origin = request.headers.get("Origin")
        return origin is not None and (anyone or origin in origins)

    def answer_preflight() -> Response | None:
        """Answer the question that a browser asks before the request; for known routes alone."""
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        known = isinstance(request.routing_exception, MethodNotAllowed)
        if not (asks and known and is_allowed()):
            return None
        response = Response(status=204, headers=PREFLIGHT)
        del response.headers["Content-Type"]  # there is nothing that could have one
        return response

    def allow(response: Response) -> Response:
        if not anyone:
            response.vary.add("Origin")
        if is_allowed():
            response.headers["Access-Control-Allow-Origin"] = (
                "*" if anyone else request.headers["Origin"]
            )
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
        return response

    app.before_request(answer_preflight)
    app.after_request(allow)
