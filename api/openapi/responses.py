"""What a route answers: its documents, its headers, and every problem there can be."""

from collections.abc import Iterable
from typing import Any

from apispec import APISpec
from werkzeug.http import HTTP_STATUS_CODES

from api.openapi.contract import METAS, Documented
from api.request.codes import CODES, codes_of
from api.request.negotiation import JSON, PROBLEM_JSON
from api.request.problems import problem_document

OF_ANY_ROUTE = (400, 406, 414, 431, 500)
"""Problems that every route can have; 405 is an answer to other methods than those described."""

NOT_MODIFIED = 304

EXAMPLE_ID = "be0622023f444736a7ea733eb66f2131"


def header(description: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}, **more}


HEADERS = {
    "X-Request-Id": header(
        "Names this request in the log and in every problem", required=True, example=EXAMPLE_ID
    ),
    "Cache-Control": header("How long the answer may be kept", required=True, example="no-store"),
    "Server-Timing": header(
        "Where the time went, in milliseconds", example="db;dur=1.2, app;dur=0.8, total;dur=2.0"
    ),
    "traceparent": header(
        "The trace that this request belongs to (W3C Trace Context)",
        example="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    "tracestate": header("As the caller sent it", example="vendor=value"),
}
LIMITS = {
    "RateLimit-Policy": header("How many requests a client has", example='"default";q=300;w=60'),
    "RateLimit": header(
        "How many are left, and in how many seconds there are all of them again",
        example='"default";r=299;t=60',
    ),
}
LINK = {
    "Link": header(
        "The first and the next page (RFC 8288), relative to this server",
        required=True,
        example='</data>; rel="first"',
    )
}
LINK_OF_ONE = {
    "Link": header(
        "What lies before and after it, or what it was made of (RFC 8288)",
        example='</runs/2>; rel="next"',
    )
}
CONDITIONAL = {
    "ETag": header("Names this state of the answer, for `If-None-Match`", example='W/"510-1c9f"'),
    "Last-Modified": header(
        "When what it shows last changed", example="Sat, 31 Jan 2026 12:00:00 GMT"
    ),
    "X-Data-Version": header("The version of the data that is shown", "integer", example=510),
    "X-Total-Count": header(
        "How many entries there are on all pages, or in the whole file", "integer", example=129
    ),
    "X-Until": header("The version that the next changes follow", "integer", example=510),
    "X-More": header(
        "Whether there are more changes at present: `true` or `false`", example="false"
    ),
    "X-Stale-Sources": header(
        "The sources whose newest data is older than it should be, in what is not JSON",
        example="coingecko",
    ),
    "Content-Disposition": header(
        "What to call a whole file", example='attachment; filename="assets.csv"'
    ),
    "Repr-Digest": header(
        "The SHA-256 of a whole file (RFC 9530)",
        example="sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
    ),
}
RETRY_AFTER = {
    "Retry-After": header("Seconds until another try", "integer", required=True, example=1)
}
CHALLENGE = {
    "WWW-Authenticate": header(
        "How to say who one is", required=True, example='Bearer realm="kasparro"'
    )
}
ALLOW = {"Allow": header("What is allowed", required=True, example="GET, HEAD")}
OF_A_STATUS = {401: CHALLENGE, 405: ALLOW, 429: RETRY_AFTER, 503: RETRY_AFTER}

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457)",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "const": "about:blank"},
        "title": {
            "type": "string",
            "description": "The status in words",
            "examples": ["Bad Request"],
        },
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "examples": [400]},
        "detail": {
            "type": "string",
            "description": "What happened, for a person",
            "examples": ["invalid parameters: 'symbl'; see errors"],
        },
        "code": {
            "type": "string",
            # no `enum`: clients made from it would refuse the codes of a later release
            "description": "What happened, for a program. None of these is ever renamed, and a "
            f"release may add some: {', '.join(f'`{name}`' for name in CODES)}",
            "pattern": "^[a-z0-9_]+$",
            "examples": ["invalid_parameter"],
        },
        "request_id": {"type": "string", "examples": [EXAMPLE_ID]},
        "errors": {
            "type": "array",
            "description": "One entry for each bad parameter",
            "items": {
                "type": "object",
                "required": ["parameter", "detail"],
                "properties": {"parameter": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "data": {"type": "object", "description": "The state of the system, at `/health`"},
    },
}
A_DOCUMENT = {"openapi": "3.1.0", "info": {"title": "Kasparro market data"}, "paths": {}}
ERRORS = [{"parameter": "symbl", "detail": "unknown parameter; did you mean 'symbol'?"}]


def name_of(status: int) -> str:
    """Return the name that a status' answer has among the components."""
    return HTTP_STATUS_CODES[status].title().replace(" ", "")


def add_common_parts(spec: APISpec) -> None:
    """Describe what the answers of all routes are made of."""
    spec.components.schema("Problem", PROBLEM)
    for name, properties in METAS.items():
        spec.components.schema(name, {"type": "object", "properties": properties})
    for status in sorted({code.status for code in CODES.values()}):
        spec.components.response(name_of(status), _problem(status))


def answers_of(noted: Documented, refusals: Iterable[int]) -> dict[str, Any]:
    """Describe every answer of a route; `refusals` are those that come before it is called."""
    headers = {
        **HEADERS,
        **LIMITS,
        **(LINK if noted.paged in {True, "window"} else LINK_OF_ONE),
        **(CONDITIONAL if noted.conditional else {}),
    }
    answers: dict[str, Any] = {
        "200": {
            "description": HTTP_STATUS_CODES[200],
            "headers": headers,
            "content": {name: _content(noted, name, text) for name, text in noted.media.items()},
        }
    }
    if noted.conditional:
        answers[str(NOT_MODIFIED)] = {"description": "Not modified", "headers": headers}
    for status in sorted({*OF_ANY_ROUTE, *refusals, *noted.problems}):
        answers[str(status)] = name_of(status)
    return answers


def _content(noted: Documented, media: str, text: str | None) -> dict[str, Any]:
    if media != JSON:
        return {"schema": {"type": "string"}, "example": text} if text else {"schema": {}}
    if noted.answer is None:
        return {"schema": {"type": "object", "examples": [A_DOCUMENT]}}
    item: Any = type(noted.answer)
    if noted.or_else is not None:
        item = {"anyOf": [item, type(noted.or_else)]}
    data = {"type": "array", "items": item} if noted.answer.many else item
    kind = "List" if noted.answer.many else ""
    if noted.paged:
        kind = "Page" if noted.paged is True else noted.paged.title()
    properties = {"data": data, "meta": f"{'Data' if noted.conditional else ''}{kind}Meta"}
    return {"schema": {"type": "object", "required": ["data", "meta"], "properties": properties}}


def _problem(status: int) -> dict[str, Any]:
    """Describe the problems that come with one status, with an example of each."""
    headers = {**HEADERS, **LIMITS, **OF_A_STATUS.get(status, {})}
    return {
        "description": "; ".join(f"`{name}`: {CODES[name].meaning}" for name in codes_of(status)),
        "headers": headers,
        "content": {
            PROBLEM_JSON: {
                "schema": "Problem",
                "examples": {name: _example(name) for name in codes_of(status)},
            }
        },
    }


def _example(name: str) -> dict[str, Any]:
    code = CODES[name]
    more = {"errors": ERRORS} if name == "invalid_parameter" else {}
    value = problem_document(
        code.status, code=name, detail=code.meaning, request_id=EXAMPLE_ID, **more
    )
    return {"summary": f"{code.meaning}: {code.advice}", "value": value}
