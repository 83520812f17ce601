"""One asset: its values and how each value was chosen, its price over time, and its sources."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from flask import Response, request
from marshmallow import fields, validate
from sqlalchemy import Connection

from api.dashboard.blueprint import bp
from api.dashboard.charts.prices import Candle, Candles, price_chart
from api.dashboard.charts.sparkline import sparkline
from api.dashboard.parameters import read_page_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters import page_size
from api.parameters.history import AN_INSTANT, begin
from api.parameters.moment import MomentParameters, time
from api.queries.assets.asset import FoundAsset, find_asset
from api.queries.assets.missing import asset_not_found
from api.queries.history.candles import find_candles_by_source
from api.queries.history.intervals import INTERVALS, WIDTHS, between, floor
from api.queries.history.scope import Listings
from api.queries.history.trends import find_trends
from api.request.problems import AssetNotFoundError
from api.responses.cached import Representation, cached_response
from shared.model.records import VALUES


class AssetPageParameters(MomentParameters):
    """Parameters of the page of an asset."""

    interval = fields.String(
        load_default=None, allow_none=False, validate=validate.OneOf(INTERVALS)
    )
    chart = fields.String(load_default="line", validate=validate.OneOf(["line", "candles"]))
    page_size = page_size(120, 400, "candles")
    end = time("Where the chart ends. Without it: after the newest observation.")


ASSET = AssetPageParameters()
CANDLES = msgspec.json.Decoder(list[Candle])

PRICES = frozenset({"price_usd"})
SUPPLIES = frozenset({"circulating_supply", "total_supply", "max_supply"})


@bp.get("/assets/<slug>")
def asset(slug: str) -> Response:
    """Show an asset."""
    return cached_response(lambda: show_asset(slug))


def show_asset(slug: str) -> Representation:
    """Find all that is known of an asset, and make its page."""
    query = read_page_query(ASSET, request.query_string)
    with read() as conn:
        found = find_asset(conn, slug, query["moment"])
        if found.asset is None and not found.exists:
            raise asset_not_found(conn, slug)
        if found.asset is None:
            raise AssetNotFoundError(f"Nothing was observed of {slug!r} by then.")
        trends = find_trends(conn, [slug], query["moment"]).assets
        interval = query["interval"] or usual_interval(found.asset)
        first = first_known(found.asset)
        by_source = read_candles(conn, found, {**query, "interval": interval}, first)
    trend = trends[0] if trends else None
    begins = next((candles[0].start for candles in by_source.values()), None)
    return page(
        "asset",
        data_at=found.asset["updated_at"],
        asset=found.asset,
        values=[(name, found.asset["values"][name]) for name in VALUES],
        supplies=SUPPLIES,
        prices=PRICES,
        outliers=outliers_of(found.asset),
        trend=trend,
        sparkline=sparkline(trend["sparkline_7d"]) if trend else None,
        chart=price_chart(by_source, interval, with_candles=query["chart"] == "candles"),
        chart_kind=query["chart"],
        interval=interval,
        intervals=INTERVALS,
        earlier=begins if begins and first and begins > first else None,
    )


def usual_interval(asset: Mapping[str, Any]) -> str:
    """Return the interval that shows the whole history in about 150 candles, up to a day."""
    first = first_known(asset)
    span = asset["observed_at"] - first if first and asset["observed_at"] else timedelta(0)
    fitting = (name for name, width in WIDTHS.items() if span / width <= 150)  # noqa: PLR2004
    return min("1d", next(fitting, "1d"), key=lambda name: WIDTHS[name])


def first_known(asset: Mapping[str, Any]) -> datetime | None:
    """Return when the asset was observed first, under whichever name."""
    names = [each for listing in asset["listings"] for each in listing["names"]]
    return min((each["first_observed_at"] for each in names), default=None)


def read_candles(
    conn: Connection, found: FoundAsset, query: Mapping[str, Any], first: datetime | None
) -> Mapping[str, Candles]:
    """Read the candles of each source in the same window.

    It ends at the moment that is looked at, and does not begin before the first observation.
    """
    listings = listings_of(found)
    moment = query["moment"]
    until: datetime | None = moment.as_of + AN_INSTANT if moment else None
    end = query["end"] or until
    window = {**query, "start": None, "end": min(end, until) if end and until else end}
    walk = begin(window, listings.newest, None)
    if walk is None:
        return {}
    interval = query["interval"]
    start = max(walk.start, floor(interval, first)) if first else walk.start
    candles = between(interval, start, walk.end)
    if candles < 1:
        return {}
    known_at = moment.known_at if moment else None
    by_source = find_candles_by_source(conn, listings, known_at, (interval, start, candles), until)
    return {source: CANDLES.decode(f"[{','.join(lines)}]") for source, lines in by_source.items()}


def listings_of(found: FoundAsset) -> Listings:
    """Return the listings of an asset, as queries for its history expect them."""
    listings = found.asset["listings"] if found.asset else ()
    return Listings(
        ids=[each["id"] for each in listings],
        sources=[each["source"] for each in listings],
        external_ids=[each["external_id"] for each in listings],
        newest=max((each["observed_at"] for each in listings), default=None),
        seen=None,
        version=found.version,
    )


def outliers_of(asset: Mapping[str, Any]) -> Mapping[tuple[str, str], Sequence[str]]:
    """Say of each listing which of its values were left out as outliers."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, value in asset["values"].items():
        for each in value["outliers"] if value else ():
            found.setdefault((each["source"], each["external_id"]), []).append(name)
    return found
