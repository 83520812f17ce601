"""Canonical paths: a resource has one path. Every other spelling is an unknown path.

Otherwise a client could bypass the rules of a proxy that reads `//data` or `/data%2fexport`
differently from this application.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from flask import Flask, request
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect

CHARACTER = (
    r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]"
    # Percent-encoding is allowed where it is required, or where some clients use it. It is refused
    # for `/`, letters, digits, `-._` and control characters.
    r"|%(?:2[0-9A-Ca-c]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-Eb-e]|[89A-Fa-f][0-9A-Fa-f]))"
)
PATH = re.compile(rf"/|(?:/(?!\.\.?(?:/|\Z)){CHARACTER}+)+")
ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


class PathNotCanonicalError(NotFound):
    problem = "not_found"


def is_canonical(path: str) -> bool:
    """Whether a path, as sent, is spelled like the paths of this application."""
    if not PATH.fullmatch(path):
        return False
    if "%" in path:
        try:
            unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            return False
    return True


def require_canonical_paths(app: Flask) -> None:
    """Treat a request with any other path as one without a route."""
    app.before_request(reject_other_paths)


def request_target(environ: Mapping[str, Any]) -> str | None:
    """Return the request target as the client sent it; None if the server does not provide it."""
    return environ.get("RAW_URI") or environ.get("REQUEST_URI")


def reject_other_paths() -> None:
    path = (request_target(request.environ) or quote(request.path)).partition("?")[0]
    if not path.startswith("/"):
        path = ORIGIN.sub("", path, count=1)  # the absolute form, as sent to proxies
    if is_canonical(path) and not isinstance(request.routing_exception, RequestRedirect):
        return
    request.url_rule = None
    request.routing_exception = PathNotCanonicalError(
        f"no route has the path {path[:200]!r}: it is not canonical; '/' lists the routes"
    )
