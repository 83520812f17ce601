"""The OpenAPI document as a test reads it: its routes, their examples, and what they promise."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from openapi_schema_validator import OAS31Validator
from werkzeug.test import TestResponse

from api.app import create_app
from api.request.access import HEADERS
from api.request.negotiation import JSON, PROBLEM_JSON
from shared.settings import Settings

OF_EVERY_ANSWER = {*HEADERS, "Content-Encoding", "Content-Length", "Content-Type", "Vary"} - {
    "Cache-Control"
}
"""Headers that say nothing of one route, and that the document leaves out."""

_validators: dict[int, tuple[dict[str, Any], OAS31Validator]] = {}
"""By the id of a document, which stays with its validator so that no other gets its id."""


def read_document() -> dict[str, Any]:
    return create_app(Settings.from_env({})).extensions["openapi"]()


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference to one of the document's components."""
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    return document["components"][kind][name]


def parameters_of(document: dict[str, Any], path: str) -> list[dict[str, Any]]:
    return [resolved(document, each) for each in document["paths"][path]["get"]["parameters"]]


def example_url(document: dict[str, Any], path: str, **query: Any) -> str:
    """Write a route as a URL, with the examples of the parameters that it must have."""
    for parameter in parameters_of(document, path):
        name, example = parameter["name"], parameter["schema"]["examples"][0]
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(str(example), safe=""))
        elif parameter.get("required"):
            text = ",".join(example) if isinstance(example, list) else example
            query.setdefault(name, text)
    return f"{path}?{urlencode(query, safe=',')}" if query else path


def closed(schema: Any) -> Any:
    """Copy a schema so that it refuses members that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {name: closed(each) for name, each in schema.items()}
    if "properties" in copy and isinstance(copy["properties"], dict):
        copy["additionalProperties"] = False
    return copy


def validate_value(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    _validator_of(document).evolve(schema=closed(schema)).validate(value)


def _validator_of(document: dict[str, Any]) -> OAS31Validator:
    """Give a validator that resolves references to a document's components, built once."""
    if id(document) not in _validators:
        components = {"components": closed(document["components"])}
        _validators[id(document)] = (document, OAS31Validator(components))
    _, validator = _validators[id(document)]
    return validator


def check_answer(document: dict[str, Any], path: str, response: TestResponse) -> None:
    """Compare an answer with what the document says of its route: type, body and headers."""
    responses = document["paths"][path]["get"]["responses"]
    described = resolved(document, responses[str(response.status_code)])
    sent = {name for name in response.headers.keys() if name not in OF_EVERY_ANSWER}  # noqa: SIM118
    known = described["headers"]
    assert {name for name, header in known.items() if header.get("required")} <= sent, path
    assert sent <= {*known}, path
    if "content" not in described:
        assert response.data == b""
        return
    content = described["content"][response.mimetype]
    if response.mimetype in {JSON, PROBLEM_JSON}:
        validate_value(document, content["schema"], json.loads(response.data))


def examples_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Give every example in the document: where it stands, its schema, its value."""
    for path, operations in document["paths"].items():
        for parameter in parameters_of(document, path):
            where = f"{path} {parameter['name']}"
            yield where, parameter["schema"], parameter["schema"]["examples"][0]
        for status, answer in operations["get"]["responses"].items():
            yield from _examples_of_answer(f"{path} {status}", resolved(document, answer))


def _examples_of_answer(where: str, answer: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, header in answer["headers"].items():
        yield f"{where} {name}", header["schema"], header["example"]
    for media, content in answer.get("content", {}).items():
        values = [each["value"] for each in content.get("examples", {}).values()]
        if not content["schema"]:
            continue  # bytes
        for value in values or [content["example"]]:
            yield f"{where} {media}", content["schema"], value
