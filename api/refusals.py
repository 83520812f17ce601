"""Whole responses to requests that never come to the application."""

import logging
import uuid
from typing import Any

import msgspec
import structlog

from api.access import HEADERS
from api.metrics.instruments import Instruments
from api.negotiation import PROBLEM_JSON
from api.problems import problem_document

DETAILS = {
    400: "not a well-formed HTTP request",
    408: "the request did not arrive in time",
    413: "the request has a body; this API takes none",
    414: "the request line is too long",
    431: "the request's headers are too many or too long",
}


log = logging.getLogger("api.access")


def refuse(status: int, client: Any, instruments: Instruments) -> bytes:
    """Count and log a request that could not be read, and return the whole response to it.

    The client is the address as its socket has it.
    """
    request_id = uuid.uuid4().hex
    instruments.refused(status)
    structlog.contextvars.clear_contextvars()  # the last request's that this thread answered
    log.info(
        "request",
        extra={
            "request_id": request_id,
            "method": None,
            "route": None,
            "status": status,
            "client": client[0] if isinstance(client, tuple) else None,
        },
    )
    return broken_request(status, request_id)


def broken_request(status: int, request_id: str) -> bytes:
    """Write the whole response to a request that could not be read."""
    detail = DETAILS.get(status, "the request cannot be answered")
    document = problem_document(status, detail=detail, request_id=request_id)
    body = msgspec.json.encode(document)
    headers = {
        **HEADERS,
        "Connection": "close",
        "Content-Length": str(len(body)),
        "Content-Type": PROBLEM_JSON,
        "X-Request-Id": request_id,
    }
    lines = [f"HTTP/1.1 {status} {document['title']}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
