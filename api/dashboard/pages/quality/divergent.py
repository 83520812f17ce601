"""The assets whose fresh sources disagree on a value."""

from dataclasses import replace
from decimal import Decimal

from flask import Response, current_app, request
from marshmallow import validate
from sqlalchemy import Connection

from api.dashboard.blueprint import bp
from api.dashboard.pages.market import COLUMNS, changed_at_of, rows_of
from api.dashboard.parameters import read_page_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import Count, page_size
from api.parameters.assets import LAST_PAGE
from api.parameters.moment import MomentParameters
from api.queries.assets.filters import Filters
from api.queries.assets.find import find_assets
from api.queries.assets.keyset import SortKey
from api.queries.assets.query import AssetQuery
from api.responses.cached import Representation, cached_response
from api.responses.past_limit import slot_for
from shared.model.unified import DIVERGENT_PERCENT


class DivergentParameters(MomentParameters):
    """Parameters of the page."""

    page_size = page_size(50, 100, "assets")
    page = Count(load_default=1, allow_none=False, validate=validate.Range(1, LAST_PAGE))


PARAMETERS = DivergentParameters()

DIVERGENT = AssetQuery(
    Filters(divergent=True),
    (SortKey("price_spread_percent", descending=True),),
    COLUMNS,
    strings=True,
)
"""Divergent assets, those whose prices lie furthest apart first."""

SHARED = replace(DIVERGENT, filters=Filters(ranges=(("min_source_count", Decimal(2)),)))
"""Assets of several sources. No others can diverge."""


@bp.get("/divergent")
def divergent() -> Response:
    """Show the assets whose fresh sources disagree."""
    return cached_response(show_divergent)


def show_divergent() -> Representation:
    """Find the assets, and make the page."""
    query = read_page_query(PARAMETERS, request.query_string)
    wanted = replace(DIVERGENT, moment=query["moment"])
    size, number = query["page_size"], query["page"]
    totals = current_app.extensions["totals"]
    with slot_for(wanted.moment), read() as conn:
        found = find_assets(conn, wanted, size, (number - 1) * size, totals)
        # In the past it would take a second query as long as the first.
        is_any_shared = bool(found.walk.total or wanted.moment) or has_shared(conn)
    rows = rows_of(found)
    return page(
        "quality/divergent",
        part_of="quality",
        rows=len(rows),
        data_at=changed_at_of(found),
        assets=rows,
        total=found.walk.total,
        is_any_shared=is_any_shared,
        limit=DIVERGENT_PERCENT["price_usd"],
        number=number,
        last=min(-(-found.walk.total // size), LAST_PAGE),
    )


def has_shared(conn: Connection) -> bool:
    """Whether several sources list an asset."""
    found = find_assets(conn, SHARED, 1, 0, current_app.extensions["totals"])
    return bool(found.walk.total)
