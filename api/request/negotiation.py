"""Which of the formats that a route has suits the `Accept` header of a request."""

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


def refuse_what_is_not_accepted(app: Flask) -> None:
    """Answer 406 for a route with one format to a request that does not accept it."""
    app.before_request(check_accept)


def check_accept() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    noted = getattr(view, "documented", None)
    if noted and len(noted.media) == 1:
        choose([*noted.media], request.headers.get("Accept"))


def choose(available: Sequence[str], given: str | None) -> str:
    """Return the media type, of those a route has, that the header `Accept` likes best.

    Where it likes several the same, or there is no header, the first. Media types are named without
    parameters, and those of the header (`;charset=utf-8`) decide nothing. A client
    that accepts only problems gets JSON, for a problem is what it reads.

    Raises:
        NotAcceptable: none of them is accepted.
    """
    ranges = parse_accept_header(given, MIMEAccept)
    plain = MIMEAccept([(each.partition(";")[0].strip(), quality) for each, quality in ranges])
    if not plain:
        return available[0]
    best = plain.best_match([*available, PROBLEM_JSON] if JSON in available else available)
    if best is None:
        raise NotAcceptable(f"this is {' or '.join(available)}; Accept has {given!r}")
    return JSON if best == PROBLEM_JSON else best
