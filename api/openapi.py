"""The OpenAPI 3.1 document, made from the routes and their marshmallow schemas."""

import inspect
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_instance
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from marshmallow import Schema, fields
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Rule

from api.contract import LIST_META, META, PAGE_META, Documented
from api.parameters import MOST_VALUES, CommaList, SortField, SourceList
from api.problems import PROBLEM_JSON
from api.queries import ASSET_COLUMNS
from api.schemas import Amount, Hex, Json, Number
from shared.settings import SOURCES

DESCRIPTION = """A crypto market dataset you can audit: every number says where it came from, how
fresh it is, and which coin it is. Read-only. Every answer is JSON, and every error
`application/problem+json`. An unknown parameter is an error, so that a misspelt filter is not
taken for an answer."""

UNAVAILABLE = 503

FIELDS: dict[type[fields.Field[Any]], tuple[Any, str | None]] = {
    Number: ("number", None),
    Amount: (["number", "string"], None),
    Hex: ("string", None),
    Json: (None, None),
    CommaList: ("array", None),
    SortField: ("string", None),
}

HEADERS = {
    "X-Request-Id": {
        "description": "Names this request in the log and in every problem",
        "schema": {"type": "string"},
    }
}
LINK = {
    "Link": {
        "description": "The first and the next page (RFC 8288), relative to this server",
        "schema": {"type": "string"},
    }
}
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until another try", "schema": {"type": "integer"}}
}
REQUEST_ID = {
    "name": "X-Request-Id",
    "description": "The caller's own name for the request; one is made where there is none",
    "schema": {"type": "string"},
}
PATH_PARAMETERS = {
    "asset": {
        "name": "asset",
        "in": "path",
        "required": True,
        "description": "The slug of an asset",
        "schema": {"type": "string", "example": "bitcoin"},
    }
}

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457)",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "description": "The status in words"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, for a person"},
        "code": {"type": "string", "description": "What happened, for a program; stable"},
        "request_id": {"type": "string"},
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


def describe(app: Flask) -> dict[str, Any]:
    """Build the document of every route that the application has."""
    plugin = MarshmallowPlugin(schema_name_resolver=_component_name)
    spec = APISpec(
        title="Kasparro market data",
        version=version("kasparro-etl"),
        openapi_version="3.1.0",
        plugins=[plugin],
        info={
            "description": " ".join(DESCRIPTION.split()),
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        servers=[{"url": "/"}],
    )
    converter: Any = plugin.converter  # made with the APISpec
    for field, (kind, form) in FIELDS.items():
        converter.map_to_openapi_type(field, kind, form)
    converter.add_attribute_function(_values_of_a_field)
    spec.components.schema("Problem", PROBLEM)
    for name, properties in (("Meta", META), ("ListMeta", LIST_META), ("PageMeta", PAGE_META)):
        spec.components.schema(name, {"type": "object", "properties": properties})
    spec.components.parameter("RequestId", "header", REQUEST_ID)
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        operation = _operation(converter, rule, view)
        spec.path(path=rule.rule.replace("<", "{").replace(">", "}"), operations={"get": operation})
    return _completed(spec.to_dict(), converter)


def _operation(converter: OpenAPIConverter, rule: Rule, view: Any) -> dict[str, Any]:
    noted: Documented = view.documented
    summary, _, description = inspect.cleandoc(view.__doc__).partition("\n\n")
    answers: dict[str, Any] = {
        "200": {
            "description": HTTP_STATUS_CODES[200],
            "headers": {**HEADERS, **(LINK if noted.paged else {})},
            "content": {"application/json": {"schema": _answer(noted)}},
        }
    }
    for status in sorted({400, 500, *noted.problems}):
        answers[str(status)] = {
            "description": HTTP_STATUS_CODES[status],
            "headers": {**HEADERS, **(RETRY_AFTER if status == UNAVAILABLE else {})},
            "content": {PROBLEM_JSON: {"schema": "Problem"}},
        }
    operation = {
        "operationId": rule.endpoint.replace(".", "_"),
        "summary": summary.rstrip("."),
        "description": " ".join(description.split()),
        "parameters": [
            *(PATH_PARAMETERS[name] for name in sorted(rule.arguments)),
            *(_parameter(converter, *each) for each in noted.parameters().fields.items()),
            "RequestId",
        ],
        "responses": answers,
    }
    return {name: value for name, value in operation.items() if value}


def _answer(noted: Documented) -> dict[str, Any]:
    """Return the schema of a route's envelope, or of a document without one."""
    if noted.answer is None:
        return {"type": "object"}
    item: Any = type(noted.answer)
    data, meta = item, "Meta"
    if noted.answer.many:
        data, meta = {"type": "array", "items": item}, "PageMeta" if noted.paged else "ListMeta"
    return {
        "type": "object",
        "required": ["data", "meta"],
        "properties": {"data": data, "meta": meta},
    }


def _parameter(converter: OpenAPIConverter, name: str, field: fields.Field[Any]) -> dict[str, Any]:
    schema = converter.field2property(field)
    if schema.get("default") in (None, [], ()):
        schema.pop("default", None)
    parameter = {"name": name, "in": "query", "required": False, "schema": schema}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if isinstance(field, CommaList):
        parameter.update(style="form", explode=False)
    return parameter


def _values_of_a_field(
    _converter: OpenAPIConverter, field: fields.Field[Any], **_: Any
) -> dict[str, Any]:
    """Add what the values of our own fields look like."""
    if isinstance(field, SortField):
        names = [f"{sign}{name}" for name in ASSET_COLUMNS for sign in ("", "-")]
        return {"enum": names, "default": str(field.load_default)}
    if isinstance(field, SourceList):
        return {"items": {"type": "string", "enum": list(SOURCES)}, "minItems": 1}
    if isinstance(field, CommaList):
        return {"items": {"type": "string"}, "minItems": 1, "maxItems": MOST_VALUES}
    if isinstance(field, Amount):
        return {"pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
    return {}


def _component_name(schema: type[Schema]) -> str:
    return type(resolve_schema_instance(schema)).__name__.removesuffix("Schema")


def _completed(document: dict[str, Any], converter: OpenAPIConverter) -> dict[str, Any]:
    """Say of our own documents what they are, and that no member of theirs is ever left out."""
    schemas = document["components"]["schemas"]
    for (cls, *_), name in converter.refs.items():
        schemas[name]["description"] = inspect.getdoc(cls)
    for schema in schemas.values():
        schema.pop("additionalProperties", None)  # there may be more in a later release
        schema.setdefault("required", list(schema["properties"]))
    return document
