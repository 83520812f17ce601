"""Every error of a page as a page: what happened, and what the reader can do."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from flask import Response, current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from api.dashboard.blueprint import bp
from api.dashboard.links import SAFE
from api.dashboard.rendering import HEADERS, render
from api.middleware.keys import (
    COOKIE,
    PAGES,
    ApiKeyError,
    ApiKeyMissingError,
    is_page,
    key_in_cookie,
)
from api.request.access import request_id
from api.request.negotiation import PAGE
from api.request.problems import problem

LONGEST_NEXT = 3500
"""Length of the form's field `next`, encoded. The server accepts bodies of 4096 bytes."""

TITLES: Mapping[int, str] = {
    400: "This page cannot be shown",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    410: "No longer there",
    429: "Too many requests",
    500: "An error of this server",
    503: "The data cannot be read now",
}

ADVICE: Mapping[int, str] = {
    400: "Correct the parameters in the address, or open the page without them.",
    403: "Where the key lacks a scope, sign out, and sign in with another key.",
    405: "This address cannot be opened like this. Continue from the market.",
    410: "Start again at the first page.",
    429: "Wait, then reload the page.",
    500: "Try again. The server's log has the error under the id of the request.",
    503: "The page reloads by itself as soon as the data can be read. If that takes long, "
    "the operator should check that the database runs: /health/ready says what is wrong.",
}


@bp.errorhandler(HTTPException)
def answer_http_exception(exc: HTTPException) -> Response:
    """Show what went wrong; without a usable key, ask for one."""
    if isinstance(exc, ApiKeyError) and exc.code == 401:  # noqa: PLR2004
        return ask_for_key(exc, _requested_page())
    return _error(exc)


@bp.errorhandler(ValidationError)
def answer_validation_error(exc: ValidationError) -> Response:
    """Say of every bad parameter what is wrong with it."""
    messages: dict[str, list[str]] = exc.normalized_messages()  # type: ignore[no-untyped-call]
    reasons = [f"{name}: {' '.join(map(str, each))}" for name, each in messages.items()]
    return _page(400, "error", detail="", reasons=reasons, successors=())


@bp.app_errorhandler(NotFound)
@bp.app_errorhandler(MethodNotAllowed)
def answer_without_route(exc: HTTPException) -> Response:
    """Answer with a page where the path is one of the dashboard's, else as the API does."""
    return _error(exc) if is_page(request.path.rstrip("/")) else problem(exc)


def ask_for_key(exc: ApiKeyError | None, next_page: str = PAGES) -> Response:
    """Ask for a key, and delete the cookie of a key that was refused or is not needed.

    `next_page` is opened after the sign-in. It is omitted if the form would become too long.
    """
    wrong = exc is not None and not isinstance(exc, ApiKeyMissingError)
    response = _page(
        200 if exc is None else 401,
        "sign_in",
        reason=exc.description if exc is not None and wrong else None,
        next=next_page if len(quote_plus(next_page)) <= LONGEST_NEXT else PAGES,
    )
    required = current_app.extensions["settings"].api_keys_required
    if (wrong or not required) and key_in_cookie(request.headers.get("Cookie", "")):
        response.delete_cookie(COOKIE, path=cookie_path())
    return response


def _requested_page() -> str:
    """Return the path and the query of this request, as a browser writes them."""
    query = request.query_string.decode(errors="replace")
    return quote(request.path, safe=SAFE) + (f"?{query}" if query else "")


def cookie_path() -> str:
    """Return the path that the cookie with the key is sent to."""
    return f"{request.script_root}{PAGES}"


def _error(exc: HTTPException) -> Response:
    status = exc.code or 500
    told = exc.description if exc.description != type(exc).description else None
    response = _page(
        status,
        "error",
        detail=told or "",
        reasons=(),
        successors=getattr(exc, "successors", ()),
    )
    for name, value in exc.get_headers():
        if name != "Content-Type":
            response.headers.add(name, value)
    return response


def _page(status: int, template: str, **values: Any) -> Response:
    text = render(
        template,
        status=status,
        title=TITLES.get(status, "This did not work"),
        advice=ADVICE.get(status, ""),
        request_id=request_id(),
        **values,
    )
    return Response(text, status, {**HEADERS, "Cache-Control": "no-store"}, content_type=PAGE)
