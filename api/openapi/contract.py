"""What a route takes and answers, noted beside its view for `/openapi.json`."""

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
        "description": "As in the header `X-Request-Id`",
        "examples": ["be0622023f444736a7ea733eb66f2131"],
    },
    "api_latency_ms": {
        "type": "number",
        "description": "Time spent in the API, database included",
        "examples": [4.818],
    },
}
LIST = {"count": {"type": "integer", "description": "Entries in `data`"}}
PAGE = {
    "total": {"type": "integer", "description": "Entries on all pages, exactly"},
    "page_size": {"type": "integer", "examples": [50]},
    "next_cursor": {
        "type": ["string", "null"],
        "description": "The parameter `cursor` of the next page; null on the last",
    },
}
FEED = {
    "page_size": {"type": "integer", "examples": [1000]},
    "until": {
        "type": "integer",
        "description": "The parameter `since` to go on with",
        "examples": [510],
    },
    "more": {"type": "boolean", "description": "There is more already; else come back later"},
}
WINDOW = {
    "page_size": {"type": "integer", "examples": [300]},
    "interval": {
        "type": ["string", "null"],
        "description": "The length of a candle; null where there are observations",
        "examples": ["1d"],
    },
    **{
        name: {
            "type": ["string", "null"],
            "format": "date-time",
            "description": f"{said}; null where nothing was ever observed",
            "examples": ["2026-01-31T12:00:00.000000Z"],
        }
        for name, said in (
            ("start", "Where the window begins, which belongs to it"),
            (
                "end",
                "Where it ends, which does not; `start` where that is after all that was observed",
            ),
        )
    },
    "next_cursor": PAGE["next_cursor"],
}
DATA = {
    "version": {
        "type": "integer",
        "description": "The version of the data that is shown",
        "examples": [510],
    },
    "stale_sources": {
        "type": "array",
        "description": "The sources whose newest data is older than it should be, or whose runs "
        "were never good; see `/health`",
        "items": {"type": "string", "enum": list(LISTING_SOURCES)},
    },
}
TRENDS = {
    "missing": {
        "type": "array",
        "description": "Of `assets`, the slugs that no asset has, or of which nothing was observed "
        "by the time that was asked for",
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
"""The members of `meta`, by kind of route; `Data…` are those that show a version of the data."""


@dataclass(frozen=True, slots=True)
class Documented:
    """What a route takes, and what it answers."""

    answer: Schema | None
    or_else: Schema | None
    """What the entries of its list are otherwise, by its parameters."""
    parameters: type[QueryString]
    problems: tuple[int, ...]
    paged: bool | Literal["feed", "window", "trends"]
    media: Mapping[str, str | None]
    conditional: bool


def documented(
    answer: Schema | tuple[Schema, Schema] | None,
    parameters: type[QueryString] = QueryString,
    problems: tuple[int, ...] = (),
    *,
    paged: bool | Literal["feed", "window", "trends"] = False,
    media: Mapping[str, str | None] | None = None,
    conditional: bool = False,
) -> Callable[[View], View]:
    """Note beside a view what its route takes and answers; its docstring is the description.

    Of two answers its parameters decide which one the entries of its list are.
    Problems that any route may answer (400, 406, 500) need not be named. `media` are its formats,
    with an example for each that is text; without it, it is JSON alone. Where there is one, a
    request that does not accept it is refused before the view is called; where there are several
    the view calls `negotiation.choose`. A `conditional` route has an `ETag`, and answers 304.
    """
    first, or_else = answer if isinstance(answer, tuple) else (answer, None)

    def note(view: View) -> View:
        view.documented = Documented(  # type: ignore[attr-defined]
            first, or_else, parameters, problems, paged, media or {JSON: None}, conditional
        )
        return view

    return note
