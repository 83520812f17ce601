"""What a route takes and answers, noted beside its view for `/openapi.json`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from marshmallow import Schema

from api.parameters import QueryString

View = TypeVar("View", bound=Callable[..., Any])

META = {
    "request_id": {"type": "string", "description": "As in the header `X-Request-Id`"},
    "api_latency_ms": {"type": "number", "description": "Time spent in the API, database included"},
}
LIST_META = {**META, "count": {"type": "integer", "description": "Entries in `data`"}}
PAGE_META = {
    **LIST_META,
    "total": {"type": "integer", "description": "Assets on all pages, exactly"},
    "page_size": {"type": "integer"},
    "next_cursor": {
        "type": ["string", "null"],
        "description": "The parameter `cursor` of the next page; null on the last",
    },
}


@dataclass(frozen=True, slots=True)
class Documented:
    """What a route takes, and what it answers."""

    answer: Schema | None
    parameters: type[QueryString]
    problems: tuple[int, ...]
    paged: bool


def documented(
    answer: Schema | None,
    parameters: type[QueryString] = QueryString,
    problems: tuple[int, ...] = (),
    *,
    paged: bool = False,
) -> Callable[[View], View]:
    """Note beside a view what its route takes and answers; its docstring is the description.

    Problems that any route may answer (400, 500) need not be named.
    """

    def note(view: View) -> View:
        view.documented = Documented(answer, parameters, problems, paged)  # type: ignore[attr-defined]
        return view

    return note
