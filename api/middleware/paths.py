"""Canonical paths: a resource has one path, and every other way to write it is an unknown path.

A proxy in front that reads `//data` or `/data%2fexport` differently from this application could
otherwise be led past its own rules.
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
    # Encoded only where it has to be, or where some clients do: not `/`, letters, digits, `-._`,
    # nor what is no text.
    r"|%(?:2[0-9A-Ca-c]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-Eb-e]|[89A-Fa-f][0-9A-Fa-f]))"
)
PATH = re.compile(rf"/|(?:/(?!\.\.?(?:/|\Z)){CHARACTER}+)+")
ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


class PathNotCanonicalError(NotFound):
    problem = "not_found"


def is_canonical(path: str) -> bool:
    """Whether this is how a path of this application is written, percent-encoding and all."""
    if not PATH.fullmatch(path):
        return False
    if "%" in path:
        try:
            unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            return False
    return True


def require_canonical_paths(app: Flask) -> None:
    """Take a request by any other path for one that no route matches."""
    app.before_request(unmatch)


def request_target(environ: Mapping[str, Any]) -> str | None:
    """Return the target of a request as the client wrote it, where the server tells."""
    return environ.get("RAW_URI") or environ.get("REQUEST_URI")


def unmatch() -> None:
    path = (request_target(request.environ) or quote(request.path)).partition("?")[0]
    if not path.startswith("/"):
        path = ORIGIN.sub("", path, count=1)  # as requests to a proxy are written
    if is_canonical(path) and not isinstance(request.routing_exception, RequestRedirect):
        return
    request.url_rule = None
    request.routing_exception = PathNotCanonicalError(
        f"no route at {path[:200]!r}: the path is not in its canonical form; '/' lists the routes"
    )
