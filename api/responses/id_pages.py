"""Responses of lists that are paged by id."""

from collections.abc import Mapping
from typing import Any

from flask import Response, request
from marshmallow import Schema

from api.parameters.operations import write_place
from api.queries.id_pages import Page
from api.responses.answers import document, link


def paged(schema: Schema, page: Page, query: Mapping[str, Any]) -> Response:
    """Respond with a page and links to the first and the next page."""
    next_cursor = write_place(page.end, query["digest"])
    first = {name: value for name, value in request.args.items() if name != "cursor"}
    response = document(
        schema,
        page.rows,
        total=page.total,
        page_size=query["page_size"],
        next_cursor=next_cursor,
    )
    further = {**first, "cursor": next_cursor} if next_cursor else None
    return link(response, first=first, next=further)
