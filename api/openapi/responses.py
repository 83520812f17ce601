"""The responses of a route: its documents, its headers and its problems."""

from collections.abc import Iterable
from typing import Any

from apispec import APISpec
from werkzeug.http import HTTP_STATUS_CODES

from api.openapi.contract import METAS, Documented
from api.request.codes import CODES, codes_of
from api.request.negotiation import JSON, PROBLEM_JSON
from api.request.problems import problem_document

COMMON_PROBLEMS = (400, 406, 414, 431, 500)
"""Problems of every route. 405 is omitted, because only `GET` is described."""

NOT_MODIFIED = 304

EXAMPLE_ID = "be0622023f444736a7ea733eb66f2131"


def header(description: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}, **more}


HEADERS = {
    "X-Request-Id": header(
        "Identifies this request in the log and in problems", required=True, example=EXAMPLE_ID
    ),
    "Cache-Control": header(
        "How long clients may cache the response", required=True, example="no-store"
    ),
    "Server-Timing": header(
        "Time by part, in milliseconds", example="db;dur=1.2, app;dur=0.8, total;dur=2.0"
    ),
    "traceparent": header(
        "The trace and span of this request (W3C Trace Context)",
        example="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    "tracestate": header("The client's header, unchanged", example="vendor=value"),
}
LIMITS = {
    "RateLimit-Policy": header(
        "The requests (`q`) that a client may send per window of `w` seconds",
        example='"default";q=300;w=60',
    ),
    "RateLimit": header(
        "The remaining requests (`r`), and the seconds until the window ends (`t`)",
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
        "Related resources, such as the next run or the raw records (RFC 8288)",
        example='</runs/2>; rel="next"',
    )
}
CONDITIONAL = {
    "ETag": header("Identifies this response, for `If-None-Match`", example='W/"510-1c9f"'),
    "Last-Modified": header(
        "Time of the last change of the data", example="Sat, 31 Jan 2026 12:00:00 GMT"
    ),
    "X-Data-Version": header("The version of the data in this response", "integer", example=510),
    "X-Total-Count": header(
        "The number of entries on all pages, or in the complete file", "integer", example=129
    ),
    "X-Until": header("The parameter `since` of the next request", "integer", example=510),
    "X-More": header("Whether more changes exist already: `true` or `false`", example="false"),
    "X-Stale-Sources": header(
        "The sources whose newest data is older than expected; in formats other than JSON",
        example="coingecko",
    ),
    "Content-Disposition": header(
        "The name for the file", example='attachment; filename="assets.csv"'
    ),
    "Repr-Digest": header(
        "The SHA-256 of the complete file (RFC 9530)",
        example="sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
    ),
}
RETRY_AFTER = {
    "Retry-After": header("Seconds to wait before a retry", "integer", required=True, example=1)
}
CHALLENGE = {
    "WWW-Authenticate": header(
        "The authentication scheme, and the error", required=True, example='Bearer realm="kasparro"'
    )
}
ALLOW = {"Allow": header("The allowed methods", required=True, example="GET, HEAD")}
HEADERS_BY_STATUS = {401: CHALLENGE, 405: ALLOW, 429: RETRY_AFTER, 503: RETRY_AFTER}

PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457)",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "const": "about:blank"},
        "title": {
            "type": "string",
            "description": "The name of the status",
            "examples": ["Bad Request"],
        },
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "examples": [400]},
        "detail": {
            "type": "string",
            "description": "What happened, for people; the text may change",
            "examples": ["invalid parameters: 'symbl'; see errors"],
        },
        "code": {
            "type": "string",
            # no `enum`: generated clients would refuse the codes of later releases
            "description": "What happened, for programs. Codes are never renamed; releases may add "
            f"new ones: {', '.join(f'`{name}`' for name in CODES)}",
            "pattern": "^[a-z0-9_]+$",
            "examples": ["invalid_parameter"],
        },
        "request_id": {"type": "string", "examples": [EXAMPLE_ID]},
        "errors": {
            "type": "array",
            "description": "One entry for each invalid parameter",
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
    """Return the name of a status's response component."""
    return HTTP_STATUS_CODES[status].title().replace(" ", "")


def add_common_parts(spec: APISpec) -> None:
    """Add the components that the responses of all routes share."""
    spec.components.schema("Problem", PROBLEM)
    for name, properties in METAS.items():
        spec.components.schema(name, {"type": "object", "properties": properties})
    for status in sorted({code.status for code in CODES.values()}):
        spec.components.response(name_of(status), _problem(status))


def responses_of(documentation: Documented, refusals: Iterable[int]) -> dict[str, Any]:
    """Describe every response of a route. `refusals` are statuses that precede the view."""
    headers = {
        **HEADERS,
        **LIMITS,
        **(LINK if documentation.paged in {True, "window"} else LINK_OF_ONE),
        **(CONDITIONAL if documentation.conditional else {}),
    }
    media = documentation.media.items()
    responses: dict[str, Any] = {
        "200": {
            "description": HTTP_STATUS_CODES[200],
            "headers": headers,
            "content": {name: _content(documentation, name, text) for name, text in media},
        }
    }
    if documentation.conditional:
        responses[str(NOT_MODIFIED)] = {"description": "Not modified", "headers": headers}
    for status in sorted({*COMMON_PROBLEMS, *refusals, *documentation.problems}):
        responses[str(status)] = name_of(status)
    return responses


def _content(documentation: Documented, media: str, text: str | None) -> dict[str, Any]:
    if media != JSON:
        return {"schema": {"type": "string"}, "example": text} if text else {"schema": {}}
    schema, paged = documentation.schema, documentation.paged
    if schema is None:
        return {"schema": {"type": "object", "examples": [A_DOCUMENT]}}
    item: Any = type(schema)
    if documentation.alternative is not None:
        item = {"anyOf": [item, type(documentation.alternative)]}
    data = {"type": "array", "items": item} if schema.many else item
    kind = "List" if schema.many else ""
    if paged:
        kind = "Page" if paged is True else paged.title()
    prefix = "Data" if documentation.conditional else ""
    properties = {"data": data, "meta": f"{prefix}{kind}Meta"}
    return {"schema": {"type": "object", "required": ["data", "meta"], "properties": properties}}


def _problem(status: int) -> dict[str, Any]:
    """Describe the problems with one status, with an example of each."""
    headers = {**HEADERS, **LIMITS, **HEADERS_BY_STATUS.get(status, {})}
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
