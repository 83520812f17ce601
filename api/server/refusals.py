"""Responses to requests that are refused before they reach the application."""

import logging
import uuid
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from api.request.access import HEADERS
from api.request.negotiation import PROBLEM_JSON
from api.request.problems import problem_document
from api.request.process_metrics import Instruments

DETAILS = {
    400: "the request is not well-formed HTTP",
    408: "the request did not arrive in time",
    413: "the request body is too long; send no body",
    414: "the request line is too long",
    431: "the request's headers are too many or too long",
}


log = logging.getLogger("api.request.access")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The problem with which a request is refused."""

    status: int
    detail: str = ""
    code: str | None = None
    retry_after: int | None = None


NO_HOST = Refusal(400, "an HTTP/1.1 request needs exactly one Host header")
TOO_MANY_AT_ONCE = Refusal(
    429,
    "too many requests of this client are waiting; send fewer at once",
    "too_many_at_once",
    retry_after=1,
)


def refuse(refusal: Refusal, client: Any, instruments: Instruments) -> bytes:
    """Count and log a refused request, and return the complete response.

    `client` is the address as the socket reports it.
    """
    request_id = uuid.uuid4().hex
    instruments.request_refused(refusal.status)
    structlog.contextvars.clear_contextvars()  # the ids of this thread's previous request
    log.info(
        "request",
        extra={
            "request_id": request_id,
            "method": None,
            "route": None,
            "status": refusal.status,
            "client": client[0] if isinstance(client, tuple) else None,
        },
    )
    return write(refusal, request_id)


def write(refusal: Refusal, request_id: str) -> bytes:
    """Write the complete response to a refused request."""
    status = refusal.status
    detail = refusal.detail or DETAILS.get(status, "the request cannot be answered")
    document = problem_document(status, detail=detail, request_id=request_id, code=refusal.code)
    body = msgspec.json.encode(document)
    retry = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    headers = {
        **HEADERS,
        **retry,
        "Connection": "close",
        "Content-Length": str(len(body)),
        "Content-Type": PROBLEM_JSON,
        "X-Request-Id": request_id,
    }
    lines = [f"HTTP/1.1 {status} {document['title']}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
