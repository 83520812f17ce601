"""Query strings, read strictly: what is unknown, malformed or given twice is named."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from marshmallow import (
    EXCLUDE,
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates_schema,
)
from werkzeug.datastructures import MultiDict

from api import cursors
from api.keyset import Sort
from api.queries import ASSET_COLUMNS, Filters
from shared.settings import SOURCES

LAST_PAGE = 100
"""How far `page` goes: each further one costs more than the one before, a cursor's does not."""

MOST_VALUES = 250
"""How many values one comma-separated parameter takes."""


def nearest(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Suggest the known name that one probably meant, or list them all."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


class Count(fields.Integer):
    """A whole number in plain digits; Python's own reader also takes `1_0` and ` 1 `."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not re.fullmatch("[0-9]{1,9}", value):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class CommaList(fields.Field[list[str]]):
    """Several values with commas between them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:  # noqa: ARG002
        names = list(dict.fromkeys(filter(None, (part.strip() for part in value.split(",")))))
        if not names:
            raise ValidationError("no value; expected one, or several with commas between them")
        if len(names) > MOST_VALUES:
            raise ValidationError(f"{len(names)} values; at most {MOST_VALUES} fit in one request")
        return names


class SourceList(CommaList):
    """Names of sources."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        names = super()._deserialize(value, attr, data, **kwargs)
        for name in names:
            if name not in SOURCES:
                raise ValidationError(f"no source {name!r}; {nearest(name, SOURCES)}")
        return names


class SortField(fields.Field[Sort]):
    """A column of an asset, with a minus sign before it for descending order."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Sort:  # noqa: ARG002
        column = value.removeprefix("-")
        if column not in ASSET_COLUMNS:
            raise ValidationError(f"no column {column!r}; {nearest(column, ASSET_COLUMNS)}")
        return Sort(column, descending=value.startswith("-"))


class QueryString(Schema):
    """A route's parameters; on its own, those of a route that takes none."""

    class Meta:  # noqa: D106  marshmallow's way to say it
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


class AssetParameters(QueryString):
    """Parameters of every route that shows an asset's numbers."""

    decimals = fields.String(
        load_default="number",
        validate=validate.OneOf(["number", "string"]),
        metadata={
            "description": "How numbers with a fraction are written: as JSON numbers with every "
            "digit, or as strings for clients whose JSON parser only knows floats."
        },
    )


class AssetsParameters(AssetParameters):
    """Parameters of `GET /data`."""

    page_size = Count(
        load_default=50,
        validate=validate.Range(1, 1000),
        metadata={"description": "How many assets a page holds."},
    )
    cursor = fields.String(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "Where the page starts: `meta.next_cursor` of the page before it, with "
            "the same filters and sort. The way to read many pages."
        },
    )
    page = Count(
        load_default=None,
        allow_none=False,
        validate=validate.Range(
            1, LAST_PAGE, error="Must be from {min} to {max}; beyond that follow next_cursor"
        ),
        metadata={"description": "The number of the page, for people; not with `cursor`."},
    )
    sort = SortField(
        load_default=Sort(),
        metadata={
            "description": "The column to sort by; with a minus sign before it in descending "
            "order. Unknown values come last either way."
        },
    )
    symbol = CommaList(
        load_default=(),
        metadata={
            "description": "Symbols, in capitals or not: `BTC,eth`.",
            "example": ["BTC", "ETH"],
        },
    )
    source = SourceList(
        load_default=(),
        metadata={"description": "Only assets that one of these sources lists."},
    )
    q = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 100),
        metadata={
            "description": "Text within the name, symbol or slug, in capitals or not. Those that "
            "begin with it come first."
        },
    )

    @post_load
    def read_the_query(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Bring filters and the start of the page into the terms of `queries.find_assets`."""
        filters = Filters(loaded["symbol"], loaded["source"], loaded["q"])
        query = {**loaded, "filters": filters, "digest": digest(filters, loaded["sort"])}
        if loaded["cursor"] is None:
            query["start"] = ((loaded["page"] or 1) - 1) * loaded["page_size"]
        elif loaded["page"] is not None:
            raise ValidationError({"page": ["cannot be combined with cursor; give one of them"]})
        else:
            try:
                query["start"] = cursors.decode(
                    loaded["cursor"], query["digest"], loaded["sort"].kind
                )
            except cursors.CursorError as exc:
                raise ValidationError({"cursor": [f"{exc}; start again without it"]}) from exc
        return query


def digest(filters: Filters, sort: Sort) -> str:
    """Bind a cursor to what decides on the rows and their order; the size of a page may change."""
    return cursors.digest(
        {
            "symbols": sorted(symbol.upper() for symbol in filters.symbols),
            "sources": sorted(filters.sources),
            "q": filters.q,
            "sort": str(sort),
        }
    )
