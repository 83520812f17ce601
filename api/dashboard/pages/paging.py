"""Lists that are paged by a cursor."""

from collections.abc import Mapping
from typing import Any

from api.parameters.loading import write_place
from api.queries.pages import Page


def next_page(found: Page, query: Mapping[str, Any]) -> str | None:
    """Return the cursor of the page that follows; None on the last page."""
    return write_place(found.end, query["digest"])
