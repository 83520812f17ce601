"""The OpenAPI 3.1 document, generated from the routes and their marshmallow schemas."""

import inspect
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_instance
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from marshmallow import Schema

from api.middleware.keys import is_page
from api.openapi.examples import example_of
from api.openapi.fields import register_fields
from api.openapi.links import add_links
from api.openapi.operations import REQUEST_ID, TRACE_PARENT, operation_of, path_of
from api.openapi.responses import add_common_parts
from api.openapi.security import add_schemes
from api.request.negotiation import JSON

DESCRIPTION = """A crypto market dataset you can audit. Every number says where it came from, how
fresh it is and which coin it belongs to. The API is read-only: every route answers `GET` and
`HEAD`, and other methods with 405. Every error is `application/problem+json` with a stable `code`.
An unknown parameter is an error, so a misspelt filter is never ignored."""

STATIC = ".static"
"""The suffix of endpoints that serve static files, which are not documented."""


def describe(app: Flask) -> dict[str, Any]:
    """Build the document of all routes except the dashboard's pages. It takes about 0.1 s."""
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
        servers=[{"url": "."}],
    )
    converter: Any = plugin.converter  # created by APISpec
    register_fields(converter)
    add_common_parts(spec)
    spec.components.parameter("RequestId", "header", REQUEST_ID)
    spec.components.parameter("TraceParent", "header", TRACE_PARENT)
    add_schemes(spec)
    keys_required = app.extensions["settings"].api_keys_required
    tags: dict[str, str | None] = {}
    for rule in sorted(app.url_map.iter_rules(), key=path_of):
        if rule.endpoint.endswith(STATIC) or is_page(rule.rule):
            continue
        view = app.view_functions[rule.endpoint]
        operation = operation_of(converter, rule, view, keys_required=keys_required)
        spec.path(path=path_of(rule), operations={"get": operation})
        tags[rule.endpoint.partition(".")[0]] = inspect.getdoc(inspect.getmodule(view))
    for name, description in sorted(tags.items()):
        spec.tag({"name": name, "description": description or ""})
    return _completed(spec.to_dict(), converter)


def _component_name(schema: type[Schema]) -> str:
    return type(resolve_schema_instance(schema)).__name__.removesuffix("Schema")


def _completed(document: dict[str, Any], converter: OpenAPIConverter) -> dict[str, Any]:
    """Add descriptions, required members and examples to the documents."""
    add_links(document["paths"])
    schemas = document["components"]["schemas"]
    for (cls, *_), name in converter.refs.items():
        schemas[name]["description"] = inspect.getdoc(cls)
    for schema in schemas.values():
        schema.pop("additionalProperties", None)  # later releases may add members
        schema.setdefault("required", list(schema["properties"]))
    for path in document["paths"].values():
        content = path["get"]["responses"]["200"]["content"]
        if JSON not in content:
            continue
        schema = content[JSON]["schema"]
        if any(parameter.get("name") == "fields" for parameter in path["get"]["parameters"]):
            item = schema["properties"]["data"]["items"]["$ref"].rpartition("/")[2]
            schemas[item].pop("required")  # the request chooses the members
        content[JSON]["example"] = example_of(schema, schemas)
    return document
