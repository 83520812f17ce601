"""`/data`: assets, paged, filtered and sorted, or all of them; and one with all that is known."""

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
from api.queries.assets.listing import AssetPage, find_assets
from api.queries.assets.missing import asset_not_found
from api.queries.assets.query import AssetQuery
from api.request.negotiation import JSON
from api.request.problems import AssetNotFoundError
from api.responses import export
from api.responses.answers import links
from api.responses.cached import Representation, cached_response, json_members
from api.responses.formats import CSV, NDJSON, choose_format, content_type, join_page
from api.responses.parquet import PARQUET, require_parquet
from api.responses.past import slot_for
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

    Paged by `cursor` (follow `meta.next_cursor`, or the `Link` header, with the same parameters):
    then all pages show the assets as they were when the first was asked for, each once, whatever is
    loaded meanwhile. Or, near the beginning, by `page`.

    With `as_of` it is the list of that time: every asset that was observed by then, those that are
    delisted since too, its values made by the same rule of each listing's newest observation until
    then. Names are those of then; which listings an asset has is as it is known now. There are no
    versions of the past (`version` is null); `updated_at` is when the newest of those observations
    was loaded.
    """
    return cached_response(list_assets)


def list_assets() -> Representation:
    """Find the page of assets that this request asks for."""
    query = read_query(ASSETS, request.query_string)
    media = choose_format(query["format"], "json", "csv", "ndjson")
    wanted = replace(query["wanted"], csv=media == CSV)
    totals = current_app.extensions["totals"]
    with slot_for(wanted.moment), read() as conn:
        page = find_assets(conn, wanted, query["page_size"], query["start"], totals)
    next_cursor = cursors.encode(page.end, page.walk, cursor_digest(wanted)) if page.end else None
    return Representation(
        data=join_page(media, page.lines, page.count, wanted.columns, bom=wanted.bom),
        meta=json_members(
            count=page.count,
            total=page.walk.total,
            page_size=query["page_size"],
            **({} if wanted.moment else {"next_cursor": next_cursor}),
        ),
        varies=_varies(wanted, page, next_cursor),
        rows=page.count,
        changed_at=page.changed_at,
        media=content_type(media),
        headers=(
            *(("Link", value) for value in _links(next_cursor)),
            *(_counts(page) if media != JSON else ()),
        ),
    )


def _varies(wanted: AssetQuery, page: AssetPage, next_cursor: str | None) -> bytes:
    """Say what makes no other answer. A cursor into the past leads on whenever it was given."""
    past = {"next_cursor": next_cursor} if wanted.moment else {}
    return json_members(**past, version=page.version)


def _links(next_cursor: str | None) -> list[str]:
    return links(first=_parameters(), next=_parameters(cursor=next_cursor) if next_cursor else None)


def _parameters(**changed: str) -> dict[str, Any]:
    """Return this request's parameters with others for the place where its page starts."""
    kept_ones = {k: v for k, v in request.args.items() if k not in {"cursor", "page"}}
    return {**kept_ones, **changed}


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
    """Export every asset that passes the filters as one file, from one moment of the database.

    Its headers say beforehand what a complete file is: `X-Total-Count` rows, `Content-Length`
    bytes, and in `Repr-Digest` (RFC 9530) the SHA-256 of them.
    """
    query = read_query(EXPORT, request.query_string)
    media = choose_format(query["format"], "csv", "ndjson", "parquet")
    if media == PARQUET:
        require_parquet()
    return export.send(replace(query["wanted"], csv=media == CSV), media)


@bp.get("/data/<asset>")
@documented(AssetDetailSchema(), AssetParameters, problems=(404, 503), conditional=True)
def asset(asset: str) -> Response:
    """Show one asset: its values, where each comes from and why, and every source's listing of it.

    `values` says of each why it is this one: the listing that it is taken from with the raw record
    and run behind it, how many fresh sources told it, how far they lie apart, and which were left
    out. The `Link` header leads to the raw records (`via`) and the history (`version-history`).
    """
    return cached_response(lambda: show_asset(asset))


def show_asset(slug: str) -> Representation:
    """Find all that is known of one asset."""
    query = read_query(ASSET, request.query_string)
    with read() as conn:
        found = find_asset(conn, slug, query["moment"])
        if found.asset is None and not found.exists:
            raise asset_not_found(conn, slug)
    if found.asset is None:
        given = " and ".join(name for name in ("as_of", "known_at") if query[name] is not None)
        raise AssetNotFoundError(
            f"of {slug!r} nothing was observed by then; without {given} it is there"
        )
    with DECIMALS(query["decimals"]):
        data = msgspec.json.encode(WRITE_DETAIL(found.asset))
    return Representation(
        data,
        b"",
        rows=1,
        changed_at=None,  # a listing of it may change, and no asset
        headers=tuple(("Link", value) for value in _of_an_asset(found.asset["slug"])),
        varies=json_members(version=found.version),
    )


def _of_an_asset(slug: str) -> list[str]:
    """Lead on to what its values were made of, and to what was observed of it before."""
    at = f"{request.script_root}/data/{quote(slug)}"
    return [f'<{at}/raw>; rel="via"', f'<{at}/history>; rel="version-history"']
