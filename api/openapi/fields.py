"""The JSON Schema of this project's marshmallow fields."""

from collections.abc import Iterable
from typing import Any

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import fields

from api.parameters import MOST_VALUES, CommaList, Count, NameList, SourceList
from api.parameters.fields import HASH, MOST_SORT_KEYS, Bound, Hash, Since, SortField
from api.queries.assets.columns import SORT_COLUMNS
from api.queries.times import ZONE
from api.schemas.fields import Amount, Hex, Json, Number
from shared.model.catalogue import SOURCES

TYPES: dict[type[fields.Field[Any]], tuple[Any, str | None]] = {
    Number: ("number", None),
    Amount: (["number", "string"], None),
    Hex: ("string", None),
    Json: (None, None),
    CommaList: ("array", None),
    SortField: ("array", None),
    Bound: ("number", None),
    Hash: ("string", None),
    Since: ("string", "date-time"),
}

LISTS = (CommaList, SortField)
"""Fields with several values, separated by commas."""

A_VALUE = r"^[^,\x00]*[^,\s\x00][^,\x00]*$"
"""One of several values: not blank, and without a comma."""

SORT_KEYS = [f"{sign}{name}" for name in SORT_COLUMNS for sign in ("", "-")]


def register_fields(converter: Any) -> None:
    """Register this project's fields with apispec."""
    for field, (kind, form) in TYPES.items():
        converter.map_to_openapi_type(field, kind, form)
    converter.add_attribute_function(values_of_a_field)
    converter.add_attribute_function(examples_of_a_field)


def values_of_a_field(  # noqa: PLR0911  one return per kind of field
    _converter: OpenAPIConverter, field: fields.Field[Any], *, ret: dict[str, Any], **_: Any
) -> dict[str, Any]:
    """Describe the values of this project's fields."""
    if isinstance(field, SortField):
        default = [str(key) for key in field.load_default]
        distinct = {"maxItems": MOST_SORT_KEYS, "uniqueItems": True}
        return {**_several(SORT_KEYS), **distinct, "default": default}
    if isinstance(field, SourceList):
        return _several(SOURCES)
    if isinstance(field, NameList):
        return _several(field.known)
    if isinstance(field, CommaList):
        items = {"type": "string", "pattern": A_VALUE}
        return {"items": items, "minItems": 1, "maxItems": field.most}
    if isinstance(field, Count):
        return {
            "minimum": ret.get("minimum", 0),
            "maximum": ret.get("maximum", 10**field.digits - 1),
        }
    if isinstance(field, Hash):
        return {"pattern": f"^{HASH.pattern}$"}
    if isinstance(field, Since):
        return {"pattern": ZONE}
    if isinstance(field, Amount):
        return {"pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
    if isinstance(field, Hex):
        return {"pattern": "^([0-9a-f]{2})*$"}
    return {}


def _several(names: Iterable[str]) -> dict[str, Any]:
    items = {"type": "string", "enum": list(names)}
    return {"items": items, "minItems": 1, "maxItems": MOST_VALUES}


def examples_of_a_field(
    _converter: OpenAPIConverter, field: fields.Field[Any], *, ret: dict[str, Any], **_: Any
) -> dict[str, Any]:
    """Move the example to `examples` of the schema, and remove repeated types.

    From a parameter's own `example`, Swagger UI would prefill the form and send all filters at
    once.
    """
    ret.pop("example", None)
    if isinstance(ret.get("type"), list):
        ret["type"] = list(dict.fromkeys(ret["type"]))
    return {"examples": [field.metadata["example"]]} if "example" in field.metadata else {}
