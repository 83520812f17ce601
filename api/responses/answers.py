"""JSON answers: `{"data": ..., "meta": ...}`, with every digit of every number."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from flask import Response, g, request
from marshmallow import Schema

from api.request.access import latency_ms, request_id
from api.schemas.fields import DECIMALS


def document(
    schema: Schema,
    rows: Any,
    *,
    decimals: str = "number",
    status: int = 200,
    **meta: Any,
) -> Response:
    """Write the rows of a query as one document, or as a list if the schema has `many`."""
    with DECIMALS(decimals):
        data = schema.dump(rows)
    if schema.many:
        meta = {"count": len(data), **meta}
    g.rows = len(data) if schema.many else 1
    meta = {"request_id": request_id(), "api_latency_ms": latency_ms(), **meta}
    return json_response({"data": data, "meta": meta}, status)


def json_response(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, content_type="application/json")


def link(response: Response, **targets: Mapping[str, Any] | None) -> Response:
    """Add `Link` headers (RFC 8288): this route with other parameters, by relation."""
    for value in links(**targets):
        response.headers.add("Link", value)
    return response


def links(**targets: Mapping[str, Any] | None) -> list[str]:
    """Write the values of `Link` headers. A relation whose target is None is omitted.

    The references have no host, so they are correct behind any proxy.
    """
    values = []
    for relation, parameters in targets.items():
        if parameters is not None:
            query = urlencode(parameters, safe=",")
            target = f"{request.script_root}{request.path}" + (f"?{query}" if query else "")
            values.append(f'<{target}>; rel="{relation}"')
    return values
