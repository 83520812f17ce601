"""Query strings, read strictly: what is unknown, malformed or given twice is named."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request

from shared.model.catalogue import SOURCES

MOST_VALUES = 250
"""How many values one comma-separated parameter takes."""

ALIASES = {
    "limit": "page_size",
    "per_page": "page_size",
    "offset": "page",
    "after": "cursor",
    "order": "sort",
    "order_by": "sort",
    "search": "q",
    "query": "q",
    "name": "q",
    "slug": "q",
    "columns": "fields",
    "select": "fields",
}
"""What other APIs call some of our parameters."""


def nearest(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Suggest the known name that one probably meant, or list them all."""
    alias = ALIASES.get(name.lower())
    close = [alias] if alias in known else get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


class Count(fields.Integer):
    """A whole number in plain digits; Python's own reader also takes `1_0` and ` 1 `."""

    digits = 9

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not re.fullmatch(f"[0-9]{{1,{self.digits}}}", value):
            raise ValidationError(
                f"not a whole number: {value[:40]!r}; expected one of at most {self.digits} digits"
            )
        return super()._deserialize(value, attr, data, **kwargs)


def page_size(default: int, most: int, entries: str) -> Count:
    """Make the parameter that says how many entries a page holds."""
    return Count(
        load_default=default,
        validate=validate.Range(1, most),
        metadata={"description": f"How many {entries} a page holds."},
    )


class CommaList(fields.Field[list[str]]):
    """Several values with commas between them."""

    def __init__(self, most: int = MOST_VALUES, **kwargs: Any) -> None:
        self.most = most
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:  # noqa: ARG002
        names = list(dict.fromkeys(filter(None, (part.strip() for part in value.split(",")))))
        if not names:
            raise ValidationError("no value; expected one, or several with commas between them")
        if len(names) > self.most:
            raise ValidationError(f"{len(names)} values; at most {self.most} fit in one request")
        return names


class NameList(CommaList):
    """Names of known things, of which there is a `kind`."""

    def __init__(self, kind: str, known: tuple[str, ...], **kwargs: Any) -> None:
        self.kind, self.known = kind, known
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        names = super()._deserialize(value, attr, data, **kwargs)
        if not all(part.strip() for part in value.split(",")):
            raise ValidationError("there is a comma with no name before or after it")
        for name in names:
            if name not in self.known:
                raise ValidationError(f"no {self.kind} {name!r}; {nearest(name, self.known)}")
        return names


class SourceList(NameList):
    """Names of sources."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("source", SOURCES, **kwargs)


@lru_cache(maxsize=1000)
def read_query(schema: "QueryString", query_string: bytes) -> Mapping[str, Any]:
    """Read a query string; the same one again is not read twice, so the result is not to change.

    Raises:
        ValidationError: naming every parameter that is unknown, malformed or given twice.
    """
    loaded: Mapping[str, Any] = schema.load(
        Request({"QUERY_STRING": query_string.decode("latin-1")}).args
    )
    return loaded


class QueryString(Schema):
    """A route's parameters; on its own, those of a route that takes none."""

    class Meta:
        unknown = EXCLUDE

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def name_what_is_unknown_or_repeated(
        self, _data: Any, given: "MultiDict[str, str]", **_: Any
    ) -> None:
        """Check the query string as a whole; a schema's own check skips names it does not know."""
        errors: dict[str, list[str]] = {}
        for name, texts in given.lists():
            if name not in self.fields:
                errors[name] = [f"unknown parameter; {nearest(name, tuple(self.fields))}"]
            elif len(texts) > 1:
                errors[name] = [f"given {len(texts)} times; expected once"]
            elif "\x00" in texts[0]:
                errors[name] = ["U+0000 cannot be part of a value"]
        if errors:
            raise ValidationError(errors)
