"""Parameters of the routes that show assets."""

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
"""Maximum of `page`. Later pages cost more; pages read by cursor all cost the same."""


def decimals() -> fields.String:
    return fields.String(
        load_default="number",
        validate=validate.OneOf(["number", "string"]),
        metadata={
            "description": "How decimals are written: as JSON numbers with every digit, or as "
            "strings, for clients whose JSON parser reads floats. CSV always has every digit."
        },
    )


def format_of(*formats: str) -> fields.String:
    return fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(formats),
        metadata={"description": "The format of the response. The default is chosen by `Accept`."},
    )


def byte_order_mark() -> fields.String:
    return fields.String(
        load_default="false",
        validate=validate.OneOf(["true", "false"]),
        metadata={
            "description": "Whether CSV begins with a byte order mark. Without it, Excel reads the "
            "file in the local code page and garbles names in other scripts. Other formats "
            "ignore it."
        },
    )


class AssetParameters(MomentParameters):
    """Parameters of the route that shows one asset."""

    decimals = decimals()


def _bound(column: str, end: str) -> Bound:
    limit = "least" if end == "min" else "most"
    return Bound(
        load_default=None,
        allow_none=False,
        metadata={
            "description": f"Only assets whose `{column}` is known and at {limit} this value.",
            "example": 1,
        },
    )


# Made with `from_dict`, because a schema class cannot have an attribute named `fields`.
ColumnsParameters: Any = QueryString.from_dict(
    {
        "fields": NameList(
            "column",
            FIELDS,
            load_default=ASSET_COLUMNS,
            metadata={
                "description": "The columns to show, in this order. The default is all columns "
                "except `sources` and the times of the values (`price_observed_at`, …).",
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
    """Parameters of the routes that filter and sort assets."""

    symbol = CommaList(
        load_default=(),
        metadata={
            "description": "Only assets with one of these symbols; case is ignored: `BTC,eth`.",
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
            "description": "Text in the slug, in the name or symbol of the asset, or in a present "
            "or former name or symbol of a listing. Case is ignored. Matches at the beginning "
            "come first.",
            "example": "bit",
        },
    )
    has = NameList(
        "column that can be unknown",
        NULLABLE_COLUMNS,
        load_default=(),
        metadata={"description": "Only assets for which all these columns are known."},
    )
    divergent = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(["true", "false"]),
        metadata={
            "description": "Only assets whose current sources disagree on a value (`true`), or "
            "agree on all values (`false`)."
        },
    )
    active = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(["true", "false"]),
        metadata={
            "description": "Only assets that a source lists (`true`), or only delisted assets "
            "(`false`)."
        },
    )
    updated_since = Since(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "Only assets that changed at this time or later (RFC 3339, with its "
            "offset). To keep a copy up to date, use `/changes`.",
            "example": "2026-01-31T12:00:00Z",
        },
    )
    sort = SortField(
        load_default=BY_MARKET_CAP,
        metadata={
            "description": "The columns to sort by; a minus sign before a column means descending "
            "order. Unknown values always come last."
        },
    )
    decimals = decimals()
    bom = byte_order_mark()

    @validates_schema
    def refuse_versions_of_the_past(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse bounds and sorting by `version`, which the past does not have."""
        times = [name for name in ("as_of", "known_at") if data[name] is not None]
        if not times:
            return
        reason = f"the past has no versions; omit this, or omit {' and '.join(times)}"
        bounds = [name for name in ("min_version", "max_version") if data[name] is not None]
        sorted_by = ["sort"] if "version" in {key.column for key in data["sort"]} else []
        if bounds or sorted_by:
            raise ValidationError({name: [reason] for name in [*bounds, *sorted_by]})

    @post_load
    def read_the_query(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Convert filters, order and columns to an `AssetQuery`."""
        bounds = {
            name: loaded.pop(name)
            for column in NUMERIC_COLUMNS
            for name in (f"min_{column}", f"max_{column}")
        }
        for column in NUMERIC_COLUMNS:
            low, high = bounds[f"min_{column}"], bounds[f"max_{column}"]
            if low is not None and high is not None and low > high:
                reason = f"is above max_{column}; no value can match"
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
        query = AssetQuery(
            filters,
            loaded["sort"],
            tuple(loaded["fields"]),
            strings=loaded["decimals"] == "string",
            bom=loaded["bom"] == "true",
            moment=loaded["moment"],
        )
        return {**loaded, "asset_query": query}


class AssetsParameters(ChosenAssetsParameters):
    """Parameters of `GET /data`."""

    page_size = page_size(50, 1000, "assets")
    cursor = fields.String(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "The start of the page: `meta.next_cursor` of the previous page, with "
            "the same filters and sort. All pages show the assets as of the first page.",
            "example": "WyI4ZjE0ZTQ1ZmNlZWExNjdhIiwwXQ",
        },
    )
    page = Count(
        load_default=None,
        allow_none=False,
        validate=validate.Range(
            1, LAST_PAGE, error="Must be from {min} to {max}; beyond that follow next_cursor"
        ),
        metadata={
            "description": "The number of the page, for people. It cannot be combined with "
            "`cursor`."
        },
    )
    format = format_of("json", "csv", "ndjson")

    @post_load
    def read_the_start(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Determine the start of the page: a number of rows to skip, or a position in a walk."""
        if loaded["cursor"] is None:
            start: Any = ((loaded["page"] or 1) - 1) * loaded["page_size"]
        elif loaded["page"] is not None:
            raise ValidationError({"page": ["cannot be combined with cursor; use one of them"]})
        else:
            start = read_cursor(loaded["cursor"], loaded["asset_query"])
        return {**loaded, "start": start}


class ExportParameters(ChosenAssetsParameters):
    """Parameters of `GET /data/export`."""

    format = format_of("csv", "ndjson", "parquet")


class ChangesParameters(QueryString):
    """Parameters of `GET /changes`."""

    since = Version(
        load_default=0,
        metadata={
            "description": "A version of the data. Changes after it are listed, the oldest first. "
            "0 is the beginning."
        },
    )
    page_size = page_size(1000, 1000, "changes")
    decimals = decimals()
    format = format_of("json", "ndjson")


def cursor_digest(query: AssetQuery) -> str:
    """Return the digest that binds a cursor to filters and order; page and format may change."""
    bound: Mapping[str, Any] = {
        **query.filters.dump(),
        **(query.moment.dump() if query.moment else {}),
        "sort": [str(key) for key in query.sort],
    }
    return cursors.digest(bound)


def read_cursor(cursor: str, query: AssetQuery) -> tuple[Position, cursors.Walk]:
    """Decode a cursor to its position and its walk.

    Raises:
        ValidationError: it does not belong to this query.
    """
    try:
        return cursors.decode(cursor, cursor_digest(query), [key.kind for key in query.sort])
    except cursors.CursorError as exc:
        raise ValidationError({"cursor": [f"{exc}; start again without it"]}) from exc
