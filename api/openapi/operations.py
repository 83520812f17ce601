"""What a route takes: one operation for each rule of the application."""

import inspect
import re
from typing import Any

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import fields
from werkzeug.routing import Rule

from api.openapi.answers import answers_of
from api.openapi.contract import Documented
from api.openapi.examples import example_of
from api.openapi.fields import LISTS
from api.openapi.security import refusals_of, security_of
from api.parameters import NameList

ARGUMENT = re.compile("<(?:[^<>]*:)?([^<>]*)>")

NO_NUL = r"^[^\x00]*$"
"""U+0000 is in no text that Postgres holds."""

REQUEST_ID = {
    "name": "X-Request-Id",
    "description": "The caller's own name for the request; one is made where there is none",
    "schema": {"type": "string", "examples": ["abc-1"]},
}
TRACE_PARENT = {
    "name": "traceparent",
    "description": "The caller's place in a trace (W3C Trace Context)",
    "schema": {
        "type": "string",
        "examples": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    },
}
CONDITIONS = [
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "An `ETag` that one has: 304 where it still is the answer's",
        "schema": {"type": "string", "examples": ['W/"510-1c9f"']},
    },
    {
        "name": "If-Modified-Since",
        "in": "header",
        "description": "A `Last-Modified` that one has; heeded where there is no `If-None-Match`",
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
    """Write a rule of Flask's as a path of OpenAPI's."""
    return ARGUMENT.sub(r"{\1}", rule.rule)


def operation_of(
    converter: OpenAPIConverter, rule: Rule, view: Any, *, keys_required: bool
) -> dict[str, Any]:
    """Describe a route by what is noted beside its view, and by the view's docstring."""
    noted: Documented = view.documented
    summary, _, description = inspect.cleandoc(view.__doc__).partition("\n\n")
    taken = noted.parameters().fields.items()
    operation = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [rule.endpoint.partition(".")[0]],
        "summary": summary.rstrip("."),
        "description": " ".join(description.split()),
        "parameters": [
            *(PATH_PARAMETERS[name] for name in sorted(rule.arguments)),
            *(_parameter(converter, *each) for each in sorted(taken, key=is_a_bound)),
            *(CONDITIONS if noted.conditional else []),
            "RequestId",
            "TraceParent",
        ],
        "security": security_of(rule.rule, required=keys_required),
        "responses": answers_of(noted, refusals_of(rule.rule)),
    }
    return {name: value for name, value in operation.items() if value}


def is_a_bound(parameter: tuple[str, Any]) -> bool:
    """Tell the many bounds from other parameters, which people look for first."""
    return parameter[0].startswith(("min_", "max_"))


def _parameter(converter: OpenAPIConverter, name: str, field: fields.Field[Any]) -> dict[str, Any]:
    schema = converter.field2property(field)
    if schema.get("default") in (None, [], ()) or isinstance(field, NameList):
        schema.pop("default", None)  # all of them, or none: the description says which
    parameter = {"name": name, "in": "query", "required": field.required, "schema": schema}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if schema.get("type") == "string" and not {"enum", "format", "pattern"} & {*schema}:
        schema["pattern"] = NO_NUL
    schema.setdefault("examples", [schema.get("default") or example_of(schema, {})])
    if isinstance(field, LISTS):
        parameter.update(style="form", explode=False)
    return parameter
