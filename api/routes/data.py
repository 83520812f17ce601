"""`/data`: assets as pages and as a complete export, and one asset in detail."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec
from flask import Blueprint, Response, current_app, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import read_query
from api.parameters.assets import (
    AssetParameters,
    AssetsParameters,
    ExportParameters,
    cursor_digest,
)
from api.queries.assets import cursors
from api.queries.assets.asset import find_asset
from api.queries.assets.find import AssetPage, find_assets
from api.queries.assets.missing import asset_not_found
from api.queries.assets.query import AssetQuery
from api.request.negotiation import JSON
from api.request.problems import AssetNotFoundError
from api.responses import export
from api.responses.answers import links
from api.responses.cached import Representation, cached_response, json_members
from api.responses.formats import CSV, NDJSON, choose_format, content_type, join_page
from api.responses.parquet import PARQUET, require_parquet
from api.responses.past_limit import slot_for
from api.schemas.assets import AssetDetailSchema, ChosenAssetSchema
from api.schemas.fields import DECIMALS
from api.schemas.writer import writer

bp = Blueprint("data", __name__)

ASSETS, ASSET, EXPORT = AssetsParameters(), AssetParameters(), ExportParameters()
WRITE_DETAIL = writer(AssetDetailSchema())

CSV_EXAMPLE = 'slug,symbol,price_usd\r\n"bitcoin","BTC",16610.346\r\n'
NDJSON_EXAMPLE = '{"slug":"bitcoin","symbol":"BTC","price_usd":16610.346}\n'


@bp.get("/data")
@documented(
    ChosenAssetSchema(many=True),
    AssetsParameters,
    problems=(410, 429, 503),
    paged=True,
    media={JSON: None, CSV: CSV_EXAMPLE, NDJSON: NDJSON_EXAMPLE},
    conditional=True,
)
def assets() -> Response:
    """List assets.

    To read many pages, follow `meta.next_cursor` or the `Link` header with the same parameters.
    All these pages show the assets as of the first page, each exactly once, whatever is loaded
    meanwhile. The first 100 pages can also be read by `page`.

    With `as_of` the list is of that time: every asset that was observed by then, including assets
    that were delisted since. The same rule computes the values from each listing's newest
    observation until then. Names are of that time. The listings of an asset are as known now.
    `version` is null, because the past has no versions. `updated_at` is the time when the newest
    of these observations was loaded.
    """
    return cached_response(list_assets)


def list_assets() -> Representation:
    query = read_query(ASSETS, request.query_string)
    media = choose_format(query["format"], "json", "csv", "ndjson")
    asset_query = replace(query["asset_query"], csv=media == CSV)
    totals = current_app.extensions["totals"]
    with slot_for(asset_query.moment), read() as conn:
        page = find_assets(conn, asset_query, query["page_size"], query["start"], totals)
    next_cursor = (
        cursors.encode(page.end, page.walk, cursor_digest(asset_query)) if page.end else None
    )
    return Representation(
        data=join_page(media, page.lines, page.count, asset_query.columns, bom=asset_query.bom),
        meta=json_members(
            count=page.count,
            total=page.walk.total,
            page_size=query["page_size"],
            **({} if asset_query.moment else {"next_cursor": next_cursor}),
        ),
        meta_outside_etag=_meta_outside_etag(asset_query, page, next_cursor),
        rows=page.count,
        changed_at=page.changed_at,
        media=content_type(media),
        headers=(
            *(("Link", value) for value in _links(next_cursor)),
            *(_counts(page) if media != JSON else ()),
        ),
    )


def _meta_outside_etag(query: AssetQuery, page: AssetPage, next_cursor: str | None) -> bytes:
    """Return the members that do not affect the `ETag`. An old cursor into the past stays valid."""
    past = {"next_cursor": next_cursor} if query.moment else {}
    return json_members(**past, version=page.version)


def _links(next_cursor: str | None) -> list[str]:
    return links(first=_parameters(), next=_parameters(cursor=next_cursor) if next_cursor else None)


def _parameters(**changed: str) -> dict[str, Any]:
    """Return this request's parameters without the start of its page, plus the changed ones."""
    filters = {k: v for k, v in request.args.items() if k not in {"cursor", "page"}}
    return {**filters, **changed}


def _counts(page: AssetPage) -> list[tuple[str, str]]:
    return [("X-Total-Count", str(page.walk.total)), ("X-Data-Version", str(page.version))]


@bp.get("/data/export")
@documented(
    None,
    ExportParameters,
    problems=(503,),
    media={CSV: CSV_EXAMPLE, NDJSON: NDJSON_EXAMPLE, PARQUET: None},
    conditional=True,
)
def whole() -> Response:
    """Export all assets that match the filters as one file, from one moment of the database.

    The headers describe the complete file, so that a truncated download is detected:
    `X-Total-Count` (rows), `Content-Length` (bytes) and `Repr-Digest` (RFC 9530, SHA-256).
    """
    query = read_query(EXPORT, request.query_string)
    media = choose_format(query["format"], "csv", "ndjson", "parquet")
    if media == PARQUET:
        require_parquet()
    return export.send(replace(query["asset_query"], csv=media == CSV), media)


@bp.get("/data/<asset>")
@documented(AssetDetailSchema(), AssetParameters, problems=(404, 503), conditional=True)
def asset(asset: str) -> Response:
    """Show one asset: its values, the origin of each value, and the listing of every source.

    `values` explains each value: its listing, raw record and run, the number of fresh sources, how
    far they differ, and which were excluded. The `Link` header has the raw records (`via`) and the
    history (`version-history`).
    """
    return cached_response(lambda: show_asset(asset))


def show_asset(slug: str) -> Representation:
    query = read_query(ASSET, request.query_string)
    with read() as conn:
        found = find_asset(conn, slug, query["moment"])
        if found.asset is None and not found.exists:
            raise asset_not_found(conn, slug)
    if found.asset is None:
        times = " and ".join(name for name in ("as_of", "known_at") if query[name] is not None)
        raise AssetNotFoundError(
            f"asset {slug!r} was not observed by then; it exists without {times}"
        )
    with DECIMALS(query["decimals"]):
        data = msgspec.json.encode(WRITE_DETAIL(found.asset))
    return Representation(
        data,
        b"",
        rows=1,
        changed_at=None,  # its listings can change without a change of an asset
        headers=tuple(("Link", value) for value in _asset_links(found.asset["slug"])),
        meta_outside_etag=json_members(version=found.version),
    )


def _asset_links(slug: str) -> list[str]:
    path = f"{request.script_root}/data/{quote(slug)}"
    return [f'<{path}/raw>; rel="via"', f'<{path}/history>; rel="version-history"']
