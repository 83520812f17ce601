"""Exception to `application/problem+json` (RFC 9457), in one place.

`type` is always `about:blank` and `code` identifies the problem: one stable name is enough, and it
needs no URL that could move.
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
    """The raw record was there, and is kept no longer; its observation is."""

    problem = "raw_pruned"


class CursorExpiredError(Gone):
    """What the cursor's walk shows was replaced longer ago than such things are kept."""

    problem = "cursor_expired"

    def __init__(self) -> None:
        super().__init__("the walk began too long ago, and assets changed since; start it again")


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
            "as many lists of the past as this server works out at once are under way",
            retry_after=2,
        )


class ExportsBusyError(ServiceUnavailable):
    problem = "exports_busy"

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=5)


class DataBehindError(ServiceUnavailable):
    """The cursor is of a later version: of another server, or of before a backup was restored."""

    problem = "data_behind"

    def __init__(self) -> None:
        super().__init__(
            "this server has not the data that the cursor is of; where it stays so, start again",
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
    """Answer every error of the application as a problem, never as HTML."""
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(ValidationError, answer_validation_error)


def answer_http_exception(exc: HTTPException) -> Response:
    return problem(exc)


def answer_validation_error(exc: ValidationError) -> Response:
    """Say of every bad parameter what is wrong with it."""
    messages: dict[str, list[str]] = exc.normalized_messages()  # type: ignore[no-untyped-call]
    errors = [
        {"parameter": name, "detail": " ".join(str(reason) for reason in reasons).rstrip(".")}
        for name, reasons in messages.items()
    ]
    names = ", ".join(repr(name) for name in messages)
    return problem(InvalidParameterError(f"cannot use {names}; see errors"), errors=errors)


def problem(exc: HTTPException, **members: Any) -> Response:
    """Write a problem document: the exception's code, status, detail and headers."""
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
    """Make the members of a problem. Without a `code` of its own it has its status' name."""
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
    """Say what happened in this program's words where werkzeug's are for a browser's page."""
    known: Mapping[int | None, str] = {
        404: f"no route at {request.path!r}; '/' lists them",
        405: f"{request.method} is not allowed here; the API only reads",
        500: "an error that is not the request's; the log has it under this request_id",
    }
    if exc.code in known and not hasattr(exc, "problem"):
        return known[exc.code]
    return exc.description or ""
