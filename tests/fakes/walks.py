"""Walks through the pages of `/data`."""

from typing import Any

from flask.testing import FlaskClient

from tests.fakes.reference import follow, slugs


def start(client: FlaskClient, **query: Any) -> dict[str, Any]:
    """Ask for the first page of a walk; return the parameters that ask for the second."""
    page = client.get("/data", query_string=query).json
    return {**query, "cursor": page["meta"]["next_cursor"]}


def find(client: FlaskClient, **query: Any) -> list[str]:
    """Walk through all pages, and see that each says how many assets there are."""
    pages = follow(client, **query)
    found = slugs(pages)
    assert {page["meta"]["total"] for page in pages} == {len(found)}
    return found
