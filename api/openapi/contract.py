"""The decorator `documented`, which describes a route for `/openapi.json`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from marshmallow import Schema

from api.parameters import QueryString
from api.request.negotiation import JSON
from shared.model.catalogue import LISTING_SOURCES

View = TypeVar("View", bound=Callable[..., Any])

META = {
    "request_id": {
        "type": "string",
        "description": "The value of the header `X-Request-Id`",
        "examples": ["be0622023f444736a7ea733eb66f2131"],
    },
    "api_latency_ms": {
        "type": "number",
        "description": "Milliseconds spent in the API, database included",
        "examples": [4.818],
    },
}
LIST = {"count": {"type": "integer", "description": "Number of entries in `data`"}}
PAGE = {
    "total": {"type": "integer", "description": "Exact number of entries on all pages"},
    "page_size": {"type": "integer", "examples": [50]},
    "next_cursor": {
        "type": ["string", "null"],
        "description": "The parameter `cursor` of the next page; null on the last page",
    },
}
FEED = {
    "page_size": {"type": "integer", "examples": [1000]},
    "until": {
        "type": "integer",
        "description": "The parameter `since` of the next request",
        "examples": [510],
    },
    "more": {
        "type": "boolean",
        "description": "Whether more changes exist already; if so, continue at once",
    },
}
WINDOW = {
    "page_size": {"type": "integer", "examples": [300]},
    "interval": {
        "type": ["string", "null"],
        "description": "The length of a candle; null if the entries are observations",
        "examples": ["1d"],
    },
    **{
        name: {
            "type": ["string", "null"],
            "format": "date-time",
            "description": f"{meaning}; null if the asset has no observations",
            "examples": ["2026-01-31T12:00:00.000000Z"],
        }
        for name, meaning in (
            ("start", "The start of the window (inclusive)"),
            (
                "end",
                "The end of the window (exclusive); `start` if that is after all observations",
            ),
        )
    },
    "next_cursor": PAGE["next_cursor"],
}
DATA = {
    "version": {
        "type": "integer",
        "description": "The version of the data in this response",
        "examples": [510],
    },
    "stale_sources": {
        "type": "array",
        "description": "The sources whose newest data is older than expected, or that never had a "
        "successful run; see `/health`",
        "items": {"type": "string", "enum": list(LISTING_SOURCES)},
    },
}
TRENDS = {
    "missing": {
        "type": "array",
        "description": "The requested slugs that no asset has, or whose asset was not observed by "
        "the requested time",
        "items": {"type": "string", "examples": ["no-such-asset"]},
    },
}
METAS = {
    "Meta": META,
    "ListMeta": {**META, **LIST},
    "PageMeta": {**META, **LIST, **PAGE},
    "DataMeta": {**META, **DATA},
    "DataListMeta": {**META, **LIST, **DATA},
    "DataPageMeta": {**META, **LIST, **PAGE, **DATA},
    "DataFeedMeta": {**META, **LIST, **FEED, **DATA},
    "DataWindowMeta": {**META, **LIST, **WINDOW, **DATA},
    "DataTrendsMeta": {**META, **LIST, **TRENDS, **DATA},
}
"""The members of `meta` by kind of route. `Data…` is for routes that show a version of the data."""


@dataclass(frozen=True, slots=True)
class Documented:
    """The parameters and responses of a route."""

    schema: Schema | None
    alternative: Schema | None
    """A second schema of the list's entries; the parameters decide which one applies."""
    parameters: type[QueryString]
    problems: tuple[int, ...]
    paged: bool | Literal["feed", "window", "trends"]
    media: Mapping[str, str | None]
    conditional: bool


def documented(
    schema: Schema | tuple[Schema, Schema] | None,
    parameters: type[QueryString] = QueryString,
    problems: tuple[int, ...] = (),
    *,
    paged: bool | Literal["feed", "window", "trends"] = False,
    media: Mapping[str, str | None] | None = None,
    conditional: bool = False,
) -> Callable[[View], View]:
    """Describe the route of a view for OpenAPI. The view's docstring becomes its description.

    Of two schemas, the parameters of a request decide which one describes the list's entries.
    `problems` are statuses in addition to those of every route (400, 406, 500). `media` are the
    formats, with an example of each text format; the default is JSON. If a route has one format,
    requests that do not accept it are refused before the view is called. If it has several, the
    view calls `negotiation.choose`. A `conditional` route has an `ETag` and can answer 304.
    """
    first, alternative = schema if isinstance(schema, tuple) else (schema, None)

    def attach(view: View) -> View:
        view.documented = Documented(  # type: ignore[attr-defined]
            first, alternative, parameters, problems, paged, media or {JSON: None}, conditional
        )
        return view

    return attach
