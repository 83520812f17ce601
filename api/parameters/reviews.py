"""Parameters of the route that shows identity reviews."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from api.parameters import NameList
from api.parameters.operations import PagedParameters
from api.queries.assets import cursors
from api.queries.reviews import ReviewFilters, ReviewPlace
from shared.model.catalogue import LISTING_SOURCES

MOST_ID = 2**31


class ReviewsParameters(PagedParameters):
    """Parameters of `GET /reviews`."""

    open = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(["true", "false"]),
        metadata={
            "description": "Only pairs without a decision (`true`), or only decided pairs "
            "(`false`)."
        },
    )
    source = NameList(
        "source",
        LISTING_SOURCES,
        load_default=(),
        metadata={
            "description": "Only pairs with a listing of one of these sources.",
            "example": ["coingecko"],
        },
    )
    asset = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 300),
        metadata={
            "description": "Only pairs with a listing of the asset with this slug.",
            "example": "bitcoin",
        },
    )

    def read_place(self, *parts: Any) -> ReviewPlace:
        """Decode the start of a page; raises what `PagedParameters.read_place` raises."""
        is_open, since, one, other = parts
        if not isinstance(is_open, bool) or not isinstance(since, str):
            raise TypeError(parts)
        ids = (cursors.read_integer(one, MOST_ID), cursors.read_integer(other, MOST_ID))
        return ReviewPlace(is_open, cursors.read_time(since), *ids)


def review_filters(query: Mapping[str, Any]) -> ReviewFilters:
    """Return the filters of a query that `ReviewsParameters` loaded."""
    is_open = None if query["open"] is None else query["open"] == "true"
    return ReviewFilters(is_open, query["source"], query["asset"])
