"""The OpenAPI operations: one for each route of the application."""

import inspect
import re
from typing import Any

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import fields
from werkzeug.routing import Rule

from api.openapi.contract import Documented
from api.openapi.examples import example_of
from api.openapi.fields import LISTS
from api.openapi.responses import responses_of
from api.openapi.security import refusals_of, security_of
from api.parameters import NameList

ARGUMENT = re.compile("<(?:[^<>]*:)?([^<>]*)>")

NO_NUL = r"^[^\x00]*$"
"""Text in Postgres never contains U+0000."""

REQUEST_ID = {
    "name": "X-Request-Id",
    "description": "The client's id for the request; the API creates one if it is missing",
    "schema": {"type": "string", "examples": ["abc-1"]},
}
TRACE_PARENT = {
    "name": "traceparent",
    "description": "The trace and span of the client (W3C Trace Context)",
    "schema": {
        "type": "string",
        "examples": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    },
}
CONDITIONS = [
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of an earlier response: 304 if the response is unchanged",
        "schema": {"type": "string", "examples": ['W/"510-1c9f"']},
    },
    {
        "name": "If-Modified-Since",
        "in": "header",
        "description": "The `Last-Modified` of an earlier response; ignored with `If-None-Match`",
        "schema": {"type": "string", "examples": ["Sat, 31 Jan 2026 12:00:00 GMT"]},
    },
]
PATH_PARAMETERS = {
    "asset": {
        "name": "asset",
        "in": "path",
        "required": True,
        "description": "The slug of an asset",
        "schema": {"type": "string", "examples": ["bitcoin"]},
    },
    "run_id": {
        "name": "run_id",
        "in": "path",
        "required": True,
        "description": "The id of a run",
        "schema": {"type": "integer", "minimum": 1, "examples": [1]},
    },
    "reject_id": {
        "name": "reject_id",
        "in": "path",
        "required": True,
        "description": "The id of a reject",
        "schema": {"type": "integer", "minimum": 1, "examples": [1]},
    },
}


def path_of(rule: Rule) -> str:
    """Convert a Flask rule to an OpenAPI path."""
    return ARGUMENT.sub(r"{\1}", rule.rule)


def operation_of(
    converter: OpenAPIConverter, rule: Rule, view: Any, *, keys_required: bool
) -> dict[str, Any]:
    """Describe a route by `documented` of its view and by the view's docstring."""
    documentation: Documented = view.documented
    summary, _, description = inspect.cleandoc(view.__doc__).partition("\n\n")
    parameters = documentation.parameters().fields.items()
    operation = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [rule.endpoint.partition(".")[0]],
        "summary": summary.rstrip("."),
        "description": " ".join(description.split()),
        "parameters": [
            *(PATH_PARAMETERS[name] for name in sorted(rule.arguments)),
            *(_parameter(converter, *each) for each in sorted(parameters, key=is_a_bound)),
            *(CONDITIONS if documentation.conditional else []),
            "RequestId",
            "TraceParent",
        ],
        "security": security_of(rule.rule, required=keys_required),
        "responses": responses_of(documentation, refusals_of(rule.rule)),
    }
    return {name: value for name, value in operation.items() if value}


def is_a_bound(parameter: tuple[str, Any]) -> bool:
    """Whether a parameter is a bound. The many bounds are listed last."""
    return parameter[0].startswith(("min_", "max_"))


def _parameter(converter: OpenAPIConverter, name: str, field: fields.Field[Any]) -> dict[str, Any]:
    schema = converter.field2property(field)
    if schema.get("default") in (None, [], ()) or isinstance(field, NameList):
        schema.pop("default", None)  # the description states the default
    parameter = {"name": name, "in": "query", "required": field.required, "schema": schema}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if schema.get("type") == "string" and not {"enum", "format", "pattern"} & {*schema}:
        schema["pattern"] = NO_NUL
    schema.setdefault("examples", [schema.get("default") or example_of(schema, {})])
    if isinstance(field, LISTS):
        parameter.update(style="form", explode=False)
    return parameter
