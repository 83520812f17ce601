"""Query strings, read strictly: unknown, malformed and repeated parameters are errors."""

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
"""Maximum number of values of a comma-separated parameter."""

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
"""Names of other APIs for this API's parameters."""


def nearest(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Suggest the known name that the client probably meant, or list all known names."""
    alias = ALIASES.get(name.lower())
    close = [alias] if alias in known else get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


class Count(fields.Integer):
    """A whole number in plain digits. `int` would also accept `1_0` and ` 1 `."""

    digits = 9

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not re.fullmatch(f"[0-9]{{1,{self.digits}}}", value):
            raise ValidationError(
                f"not a whole number: {value[:40]!r}; expected at most {self.digits} digits"
            )
        return super()._deserialize(value, attr, data, **kwargs)


def page_size(default: int, most: int, entries: str) -> Count:
    """Make the parameter `page_size`; `most` is its maximum."""
    return Count(
        load_default=default,
        validate=validate.Range(1, most),
        metadata={"description": f"Maximum number of {entries} on a page."},
    )


class CommaList(fields.Field[list[str]]):
    """At most so many values, separated by commas. Repeated ones are dropped."""

    def __init__(self, most: int = MOST_VALUES, **kwargs: Any) -> None:
        self.most = most
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:  # noqa: ARG002
        names = list(filter(None, (part.strip() for part in value.split(","))))
        if not names:
            raise ValidationError("no value; expected one, or several separated by commas")
        if len(names) > self.most:
            raise ValidationError(f"{len(names)} values; at most {self.most} are allowed")
        return list(dict.fromkeys(names))


class NameList(CommaList):
    """Names from a fixed list; `kind` is what an error message calls them."""

    def __init__(self, kind: str, known: tuple[str, ...], **kwargs: Any) -> None:
        self.kind, self.known = kind, known
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        names = super()._deserialize(value, attr, data, **kwargs)
        if not all(part.strip() for part in value.split(",")):
            raise ValidationError("a name is missing before or after a comma")
        for name in names:
            if name not in self.known:
                raise ValidationError(f"no {self.kind} {name!r}; {nearest(name, self.known)}")
        return names


class SourceList(NameList):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__("source", SOURCES, **kwargs)


@lru_cache(maxsize=1000)
def read_query(schema: "QueryString", query_string: bytes) -> Mapping[str, Any]:
    """Read a query string. Results are cached and must not be modified.

    Raises:
        ValidationError: parameters are unknown, malformed or repeated; it names all of them.
    """
    loaded: Mapping[str, Any] = schema.load(
        Request({"QUERY_STRING": query_string.decode("latin-1")}).args
    )
    return loaded


class QueryString(Schema):
    """The parameters of a route. Without subclassing: of a route that has none."""

    class Meta:
        unknown = EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Let the error of a missing parameter show an example of it."""
        if field_obj.required:
            example = field_obj.metadata["example"]
            text = ",".join(example) if isinstance(example, list) else example
            field_obj.error_messages["required"] = f"is missing; for example {field_name}={text}"

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_names(self, _data: Any, original: "MultiDict[str, str]", **_: Any) -> None:
        """Check for unknown and repeated parameters, which the fields' own validation skips."""
        errors: dict[str, list[str]] = {}
        for name, texts in original.lists():
            if name not in self.fields:
                errors[name] = [f"unknown parameter; {nearest(name, tuple(self.fields))}"]
            elif len(texts) > 1:
                errors[name] = [f"given {len(texts)} times; expected once"]
            elif "\x00" in texts[0]:
                errors[name] = ["contains U+0000, which is not allowed"]
        if errors:
            raise ValidationError(errors)
