"""What the routes that show assets take."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from api.parameters import CommaList, Count, NameList, QueryString, page_size
from api.parameters.fields import Bound, Since, SortField, Version
from api.parameters.moment import MomentParameters
from api.queries.assets import cursors
from api.queries.assets.columns import ASSET_COLUMNS, FIELDS, NULLABLE_COLUMNS, NUMERIC_COLUMNS
from api.queries.assets.filters import Filters
from api.queries.assets.keyset import BY_MARKET_CAP, Position
from api.queries.assets.query import AssetQuery
from shared.model.catalogue import LISTING_SOURCES

LAST_PAGE = 100
"""How far `page` goes: each further one costs more than the one before, a cursor's does not."""


def decimals() -> fields.String:
    return fields.String(
        load_default="number",
        validate=validate.OneOf(["number", "string"]),
        metadata={
            "description": "How numbers with a fraction are written: as JSON numbers with every "
            "digit, or as strings for clients whose JSON parser only knows floats. CSV has every "
            "digit anyway."
        },
    )


def format_of(*formats: str) -> fields.String:
    return fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(formats),
        metadata={
            "description": "The format of the answer; without it, the header `Accept` decides."
        },
    )


def byte_order_mark() -> fields.String:
    return fields.String(
        load_default="false",
        validate=validate.OneOf(["true", "false"]),
        metadata={
            "description": "Whether CSV begins with a byte order mark: without one Excel takes it "
            "for text in the local code page, and shows names in other letters garbled. Other "
            "formats have none."
        },
    )


class AssetParameters(MomentParameters):
    """Parameters of the route that shows one asset."""

    decimals = decimals()


def _bound(column: str, end: str) -> Bound:
    reaches = "least" if end == "min" else "most"
    return Bound(
        load_default=None,
        allow_none=False,
        metadata={
            "description": f"Only assets whose `{column}` is known and at {reaches} this.",
            "example": 1,
        },
    )


# Made from the columns; and a schema's class cannot have an attribute with the name `fields`.
ColumnsParameters: Any = QueryString.from_dict(
    {
        "fields": NameList(
            "column",
            FIELDS,
            load_default=ASSET_COLUMNS,
            metadata={
                "description": "The columns to show, in this order; without it all but `sources` "
                "and those that say when each value was observed (`price_observed_at`, …).",
                "example": ["slug", "price_usd"],
            },
        ),
        **{
            f"{end}_{column}": _bound(column, end)
            for column in NUMERIC_COLUMNS
            for end in ("min", "max")
        },
    },
    name="ColumnsParameters",
)


class ChosenAssetsParameters(ColumnsParameters, MomentParameters):  # type: ignore[misc]
    """Parameters of every route that shows some of the assets."""

    symbol = CommaList(
        load_default=(),
        metadata={
            "description": "Symbols, in capitals or not: `BTC,eth`.",
            "example": ["BTC", "ETH"],
        },
    )
    source = NameList(
        "source",
        LISTING_SOURCES,
        load_default=(),
        metadata={"description": "Only assets that one of these sources lists."},
    )
    q = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 100),
        metadata={
            "description": "Text within the slug, or within a name or symbol that the asset has or "
            "that its listings have or had: a former name finds it too. In capitals or not. Those "
            "of which one begins with it come first.",
            "example": "bit",
        },
    )
    has = NameList(
        "column that can be unknown",
        NULLABLE_COLUMNS,
        load_default=(),
        metadata={"description": "Only assets for which all of these are known."},
    )
    divergent = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(["true", "false"]),
        metadata={
            "description": "Only assets whose fresh sources disagree on a value (`true`), or on "
            "none (`false`)."
        },
    )
    active = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(["true", "false"]),
        metadata={
            "description": "Only assets that a source still lists (`true`), or that none lists any "
            "more (`false`)."
        },
    )
    updated_since = Since(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "Only assets whose values changed then or later (RFC 3339, with its "
            "zone). `/changes` is the way to keep a copy up to date.",
            "example": "2026-01-31T12:00:00Z",
        },
    )
    sort = SortField(
        load_default=BY_MARKET_CAP,
        metadata={
            "description": "The columns to sort by, each with a minus sign before it in descending "
            "order. Unknown values come last either way."
        },
    )
    decimals = decimals()
    bom = byte_order_mark()

    @validates_schema
    def refuse_versions_of_the_past(self, data: dict[str, Any], **_: Any) -> None:
        """Say of what is not known of the past that it is not."""
        given = [name for name in ("as_of", "known_at") if data[name] is not None]
        if not given:
            return
        reason = f"there are no versions of the past; ask without {' and '.join(given)}"
        bounds = [name for name in ("min_version", "max_version") if data[name] is not None]
        sorted_by = ["sort"] if "version" in {key.column for key in data["sort"]} else []
        if bounds or sorted_by:
            raise ValidationError({name: [reason] for name in [*bounds, *sorted_by]})

    @post_load
    def read_the_query(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Bring filters, order and columns into the terms of `queries.assets`."""
        bounds = {
            name: loaded.pop(name)
            for column in NUMERIC_COLUMNS
            for name in (f"min_{column}", f"max_{column}")
        }
        for column in NUMERIC_COLUMNS:
            low, high = bounds[f"min_{column}"], bounds[f"max_{column}"]
            if low is not None and high is not None and low > high:
                reason = f"is above max_{column}; nothing lies between"
                raise ValidationError({f"min_{column}": [reason]})
        filters = Filters(
            symbols=tuple(loaded["symbol"]),
            sources=tuple(loaded["source"]),
            q=loaded["q"],
            has=tuple(loaded["has"]),
            divergent=None if loaded["divergent"] is None else loaded["divergent"] == "true",
            active=None if loaded["active"] is None else loaded["active"] == "true",
            updated_since=loaded["updated_since"],
            ranges=tuple((name, bound) for name, bound in bounds.items() if bound is not None),
        )
        wanted = AssetQuery(
            filters,
            loaded["sort"],
            tuple(loaded["fields"]),
            strings=loaded["decimals"] == "string",
            bom=loaded["bom"] == "true",
            moment=loaded["moment"],
        )
        return {**loaded, "wanted": wanted}


class AssetsParameters(ChosenAssetsParameters):
    """Parameters of `GET /data`."""

    page_size = page_size(50, 1000, "assets")
    cursor = fields.String(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "Where the page starts: `meta.next_cursor` of the page before it, with "
            "the same filters and sort. The way to read many pages: all of them show the assets as "
            "they were when the first was asked for.",
            "example": "WyI4ZjE0ZTQ1ZmNlZWExNjdhIiwwXQ",
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
    format = format_of("json", "csv", "ndjson")

    @post_load
    def read_the_start(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Find where the page starts: a number of rows to skip, or a position in a walk."""
        if loaded["cursor"] is None:
            start: Any = ((loaded["page"] or 1) - 1) * loaded["page_size"]
        elif loaded["page"] is not None:
            raise ValidationError({"page": ["cannot be combined with cursor; give one of them"]})
        else:
            start = read_cursor(loaded["cursor"], loaded["wanted"])
        return {**loaded, "start": start}


class ExportParameters(ChosenAssetsParameters):
    """Parameters of `GET /data/export`."""

    format = format_of("csv", "ndjson", "parquet")


class ChangesParameters(QueryString):
    """Parameters of `GET /changes`."""

    since = Version(
        load_default=0,
        metadata={
            "description": "A version of the data: what changed after it is shown, the oldest "
            "change first. 0 is the beginning."
        },
    )
    page_size = page_size(1000, 1000, "changes")
    decimals = decimals()
    format = format_of("json", "ndjson")


def cursor_digest(wanted: AssetQuery) -> str:
    """Bind a cursor to what decides on the rows and their order; page and format may change."""
    query: Mapping[str, Any] = {
        **wanted.filters.dump(),
        **(wanted.moment.dump() if wanted.moment else {}),
        "sort": [str(key) for key in wanted.sort],
    }
    return cursors.digest(query)


def read_cursor(cursor: str, wanted: AssetQuery) -> tuple[Position, cursors.Walk]:
    """Find a cursor's position, and its walk.

    Raises:
        ValidationError: it is not one of this query's.
    """
    try:
        return cursors.decode(cursor, cursor_digest(wanted), [key.kind for key in wanted.sort])
    except cursors.CursorError as exc:
        raise ValidationError({"cursor": [f"{exc}; start again without it"]}) from exc
