"""Writing documents by their schemas, without what marshmallow looks up for every single field."""

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import Schema, fields

Write = Callable[[Any], Any]

AS_IT_IS = (fields.String, fields.Integer, fields.Boolean)
"""Fields whose values Postgres gives as they are to be written."""


def writer(schema: Schema) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Make a function that dumps a row as the schema does, for a third of its cost."""
    members = [
        (field.data_key or name, field.attribute or name, _write(field))
        for name, field in schema.dump_fields.items()
    ]

    def dump(row: Mapping[str, Any]) -> dict[str, Any]:
        document = {}
        for key, name, write in members:
            if name in row:
                value = row[name]
                document[key] = value if write is None or value is None else write(value)
        return document

    return dump


def _write(field: fields.Field[Any]) -> Write | None:
    """Return how a field's value is written; None where it is as it is."""
    if isinstance(field, fields.Nested):
        return writer(field.schema)
    if isinstance(field, fields.List):
        each = _write(field.inner)
        return None if each is None else lambda rows: [each(row) for row in rows]
    if isinstance(field, AS_IT_IS):
        return None
    return lambda value: field._serialize(value, None, None)  # noqa: SLF001  what marshmallow calls
