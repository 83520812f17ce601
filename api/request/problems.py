"""Exceptions of the API, and their responses as `application/problem+json` (RFC 9457).

`type` is always `about:blank`. `code` identifies the problem: unlike a URL, it never moves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from flask import Flask, Response, request
from marshmallow import ValidationError
from werkzeug.exceptions import (
    BadRequest,
    Gone,
    HTTPException,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
)
from werkzeug.http import HTTP_STATUS_CODES

from api.request.access import request_id
from api.request.negotiation import PROBLEM_JSON


class InvalidParameterError(BadRequest):
    """One or more query parameters are unknown or malformed."""

    problem = "invalid_parameter"


class AssetNotFoundError(NotFound):
    problem = "asset_not_found"

    def __init__(self, description: str, successors: Sequence[str] = ()) -> None:
        super().__init__(description)
        self.successors = successors
        """The slugs of the assets that have its listings now."""


class RunNotFoundError(NotFound):
    problem = "run_not_found"


class RejectNotFoundError(NotFound):
    problem = "reject_not_found"


class ListingNotFoundError(NotFound):
    problem = "listing_not_found"


class RawNotFoundError(NotFound):
    problem = "raw_not_found"


class RawPrunedError(NotFound):
    """The raw record was deleted by pruning; its observation was kept."""

    problem = "raw_pruned"


class CursorExpiredError(Gone):
    """The rows that the cursor's walk shows were replaced, and are no longer stored."""

    problem = "cursor_expired"

    def __init__(self) -> None:
        super().__init__(
            "the first page was requested too long ago, and assets changed since; "
            "start again without cursor"
        )


class DatabaseUnavailableError(ServiceUnavailable):
    problem = "database_unavailable"

    def __init__(self, description: str = "the database cannot be reached") -> None:
        super().__init__(description, retry_after=1)


class TooManyAtOnceError(TooManyRequests):
    problem = "too_many_at_once"

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=1)


class PastBusyError(ServiceUnavailable):
    problem = "past_busy"

    def __init__(self) -> None:
        super().__init__(
            "this server already runs as many lists of the past as it allows",
            retry_after=2,
        )


class ExportsBusyError(ServiceUnavailable):
    problem = "exports_busy"

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=5)


class DataBehindError(ServiceUnavailable):
    """The cursor has a newer version than the data.

    It comes from a server that is ahead, or from before a backup was restored.
    """

    problem = "data_behind"

    def __init__(self) -> None:
        super().__init__(
            "the cursor refers to data that this server does not have yet; "
            "if the error persists, start again without cursor",
            retry_after=1,
        )


class SchemaNotReadyError(ServiceUnavailable):
    problem = "schema_not_ready"

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=5)


class QueryTimeoutError(ServiceUnavailable):
    problem = "query_timeout"

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=5)


def answer_errors_as_problems(app: Flask) -> None:
    """Respond to every error with a problem document, never with HTML."""
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(ValidationError, answer_validation_error)


def answer_http_exception(exc: HTTPException) -> Response:
    return problem(exc)


def answer_validation_error(exc: ValidationError) -> Response:
    """Respond with one entry in `errors` for each invalid parameter."""
    messages: dict[str, list[str]] = exc.normalized_messages()  # type: ignore[no-untyped-call]
    errors = [
        {"parameter": name, "detail": " ".join(str(reason) for reason in reasons).rstrip(".")}
        for name, reasons in messages.items()
    ]
    names = ", ".join(repr(name) for name in messages)
    return problem(InvalidParameterError(f"invalid parameters: {names}; see errors"), errors=errors)


def problem(exc: HTTPException, **members: Any) -> Response:
    """Respond with the problem document of an exception, and with its status and headers."""
    status = exc.code or 500
    headers = {name: value for name, value in exc.get_headers() if name != "Content-Type"}
    body = problem_document(
        status,
        code=getattr(exc, "problem", None),
        detail=_detail(exc),
        request_id=request_id(),
        **members,
    )
    return Response(msgspec.json.encode(body), status, headers, content_type=PROBLEM_JSON)


def problem_document(
    status: int, *, detail: str, request_id: str, code: str | None = None, **members: Any
) -> dict[str, Any]:
    """Return the members of a problem. The default `code` is the name of the status."""
    title = HTTP_STATUS_CODES.get(status, "Unknown Error")
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code or title.lower().replace(" ", "_"),
        "request_id": request_id,
        **members,
    }


def _detail(exc: HTTPException) -> str:
    """Replace werkzeug's descriptions, which are meant for an HTML page."""
    details: Mapping[int | None, str] = {
        404: f"no route has the path {request.path!r}; '/' lists the routes",
        405: f"method {request.method} is not allowed; the API is read-only",
        500: "the server failed; its log has the error with this request_id",
    }
    if exc.code in details and not hasattr(exc, "problem"):
        return details[exc.code]
    return exc.description or ""
