"""`/data`: assets, paged, filtered and sorted; and one asset with all that is known of it."""

from typing import Any

from flask import Blueprint, Response, request

from api import cursors, queries
from api.answers import document, link
from api.contract import documented
from api.db import read
from api.parameters import AssetParameters, AssetsParameters
from api.problems import AssetNotFoundError
from api.schemas import AssetDetailSchema, AssetSchema

bp = Blueprint("data", __name__)


@bp.get("/data")
@documented(AssetSchema(many=True), AssetsParameters, problems=(503,), paged=True)
def assets() -> Response:
    """List assets.

    Paged by `cursor` (follow `meta.next_cursor`, or the `Link` header, with the same parameters)
    or, near the beginning, by `page`.
    """
    query = AssetsParameters().load(request.args)
    with read() as conn:
        page = queries.find_assets(
            conn, query["filters"], query["sort"], query["page_size"], query["start"]
        )
    next_cursor = cursors.encode(page.end, query["digest"]) if page.end else None
    response = document(
        AssetSchema(many=True),
        page.rows,
        decimals=query["decimals"],
        total=page.total,
        page_size=query["page_size"],
        next_cursor=next_cursor,
    )
    further = _parameters(cursor=next_cursor) if next_cursor else None
    return link(response, first=_parameters(), next=further)


def _parameters(**changed: str) -> dict[str, Any]:
    """Return this request's parameters with others for the place where its page starts."""
    kept = {k: v for k, v in request.args.items() if k not in {"cursor", "page"}}
    return {**kept, **changed}


@bp.get("/data/<asset>")
@documented(AssetDetailSchema(), AssetParameters, problems=(404, 503))
def asset(asset: str) -> Response:
    """Show one asset: its values, where each comes from, and every source's listing of it."""
    query = AssetParameters().load(request.args)
    with read() as conn:
        found = queries.find_asset(conn, asset)
    if found is None:
        raise AssetNotFoundError(f"no asset {asset!r}; /data?q={{text}} searches for one")
    return document(AssetDetailSchema(), found, decimals=query["decimals"])
