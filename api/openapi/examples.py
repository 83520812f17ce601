"""Examples of complete responses, made from the examples of their members."""

from collections.abc import Mapping
from typing import Any

OF_A_FORMAT = {"date-time": "2026-01-31T12:00:00Z"}
OF_A_TYPE = {"string": "", "integer": 1, "number": 1, "boolean": True, "null": None}


def example_of(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    """Return a value that a schema allows: its own example, or one made from its members.

    The example of a nullable member without its own example is null.
    """
    schema = resolved(schema, components)
    for keyword in ("examples", "enum"):
        if keyword in schema:
            return schema[keyword][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components)
    if "properties" in schema:
        members = schema["properties"].items()
        return {name: example_of(member, components) for name, member in members}
    if schema.get("type") == "array":
        return [example_of(schema["items"], components)]
    return _of_a_value(schema)


def resolved(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolve a reference; keywords beside it override those of its target."""
    if "$ref" not in schema:
        return schema
    siblings = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
    return {**components[schema["$ref"].rpartition("/")[2]], **siblings}


def _of_a_value(schema: Mapping[str, Any]) -> Any:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if schema.get("format") in OF_A_FORMAT:
        return OF_A_FORMAT[schema["format"]]
    if "object" in kinds or not kinds:
        return {}
    return OF_A_TYPE["null" if "null" in kinds else kinds[0]]
