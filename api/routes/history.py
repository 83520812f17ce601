"""`/data/{asset}/history`: observations of an asset over a window, or candles."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy import Connection

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import read_query
from api.parameters.history import HistoryParameters, Walk, begin
from api.queries.assets.missing import asset_not_found, require_listing
from api.queries.history.candles import CANDLE, find_candles
from api.queries.history.intervals import between, shifted
from api.queries.history.observations import OBSERVATION, ObservationPosition, find_observations
from api.queries.history.scope import HistoryScope, find_listings
from api.request.negotiation import JSON
from api.responses.answers import links
from api.responses.cached import Representation, cached_response, json_members
from api.responses.formats import CSV, NDJSON, choose_format, content_type, join_lines
from api.schemas.fields import utc
from api.schemas.history import CandleSchema, ObservationSchema

bp = Blueprint("history", __name__)

HISTORY = HistoryParameters()

CSV_EXAMPLE = (
    "start,open_usd,high_usd,low_usd,close_usd,sample_count,sources,volume_24h_usd,"
    "first_observed_at,last_observed_at\r\n2026-01-31T00:00:00.000000Z,16600.1,16700.25,16580,"
    '16610.346,36,"coingecko;coinpaprika",28350339669.37,2026-01-31T00:01:00.000000Z,'
    "2026-01-31T23:56:00.000000Z\r\n"
)
NDJSON_EXAMPLE = (
    '{"source":"coingecko","external_id":"bitcoin","price_usd":16610.346,'
    '"observed_at":"2026-01-31T12:00:00.000000Z"}\n'
)


@bp.get("/data/<asset>/history")
@documented(
    (ObservationSchema(many=True), CandleSchema(many=True)),
    HistoryParameters,
    problems=(404, 503),
    paged="window",
    media={JSON: None, CSV: CSV_EXAMPLE, NDJSON: NDJSON_EXAMPLE},
    conditional=True,
)
def history(asset: str) -> Response:
    """Show the observations of an asset over a window, or candles, oldest first.

    Without `interval` the entries are the observations of its listings, including revisions of the
    same instant. With `interval` they are candles of all observations with a price above 0;
    `source` and `external_id` select one listing. The list has an entry for every interval of the
    window. An interval without observations has `sample_count` 0 and nulls, so gaps are visible.
    To read further pages, follow `meta.next_cursor` or the `Link` header with the same parameters.

    If the asset has no listing with this `source` and `external_id`, the response is 404
    (`listing_not_found`) and names the existing listings.
    """
    return cached_response(lambda: list_history(asset))


def list_history(slug: str) -> Representation:
    query = read_query(HISTORY, request.query_string)
    media = choose_format(query["format"], "json", "csv", "ndjson")
    with read() as conn:
        listings = find_listings(conn, slug, query["source"], query["external_id"])
        if listings is None:
            raise asset_not_found(conn, slug)
        if not listings.ids:
            require_listing(conn, slug, query["source"], query["external_id"])
        walk = query["walk"] or begin(query, listings.newest, listings.seen)
        lines: Sequence[str] = []
        following: Walk | None = None
        if walk is not None:
            strings = query["decimals"] == "string"
            scope = HistoryScope(listings, query["known_at"], walk.seen, media == CSV, strings)
            lines, following = _find(conn, scope, walk, query)
    next_cursor = following.cursor(query["digest"]) if following else None
    columns = OBSERVATION if query["interval"] is None else CANDLE
    return Representation(
        data=join_lines(media, lines, columns, bom=query["bom"] == "true"),
        meta=json_members(
            count=len(lines),
            page_size=query["page_size"],
            interval=query["interval"],
            start=walk and utc(walk.start),
            end=walk and utc(walk.end),
        ),
        # An older cursor into the history stays valid, so it does not affect the `ETag`.
        meta_outside_etag=json_members(next_cursor=next_cursor, version=listings.version),
        rows=len(lines),
        changed_at=None,  # late records can change the history without a change of an asset
        media=content_type(media),
        headers=(
            *(("Link", value) for value in _links(next_cursor)),
            *([("X-Data-Version", str(listings.version))] if media != JSON else ()),
        ),
    )


def _find(
    conn: Connection, scope: HistoryScope, walk: Walk, query: Mapping[str, Any]
) -> tuple[Sequence[str], Walk | None]:
    """Read a page; also return the walk at the start of the next page, or None."""
    interval, page_size = query["interval"], query["page_size"]
    if interval is None:
        after = walk.after if isinstance(walk.after, ObservationPosition) else None
        lines, last = find_observations(conn, scope, (walk.start, walk.end), after, page_size)
        return lines, replace(walk, after=last) if last else None
    first = (
        walk.start
        if walk.after is None or isinstance(walk.after, ObservationPosition)
        else walk.after
    )
    candles = min(page_size, between(interval, first, walk.end))
    if not candles:
        return [], None
    end = shifted(interval, first, candles)
    lines = find_candles(conn, scope, interval, first, candles)
    return lines, replace(walk, after=end) if end < walk.end else None


def _links(next_cursor: str | None) -> list[str]:
    first = {name: value for name, value in request.args.items() if name != "cursor"}
    return links(first=first, next={**first, "cursor": next_cursor} if next_cursor else None)
