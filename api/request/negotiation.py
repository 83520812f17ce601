"""Content negotiation: the choice of a format by the header `Accept`."""

from collections.abc import Sequence

from flask import Flask, current_app, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_accept_header

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
HTML = "text/html"

PAGE = f"{HTML}; charset=utf-8"
"""The content type of the dashboard's pages."""


def require_acceptable_format(app: Flask) -> None:
    """Answer 406 if a route has only one format and the request does not accept it."""
    app.before_request(check_accept)


def check_accept() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    documentation = getattr(view, "documented", None)
    if documentation and len(documentation.media) == 1:
        choose([*documentation.media], request.headers.get("Accept"))


def choose(available: Sequence[str], accept: str | None) -> str:
    """Return the available media type that the header `Accept` prefers.

    Of several with the same quality, or without the header, it is the first. Parameters of the
    header's media types (`;charset=utf-8`) are ignored. A client that accepts only
    `application/problem+json` gets JSON, because it expects JSON otherwise.

    Raises:
        NotAcceptable: none of them is accepted.
    """
    ranges = parse_accept_header(accept, MIMEAccept)
    plain = MIMEAccept([(each.partition(";")[0].strip(), quality) for each, quality in ranges])
    if not plain:
        return available[0]
    best = plain.best_match([*available, PROBLEM_JSON] if JSON in available else available)
    if best is None:
        raise NotAcceptable(
            f"this route has the formats {' or '.join(available)}; Accept is {accept!r}"
        )
    return JSON if best == PROBLEM_JSON else best
