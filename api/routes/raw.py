"""`/data/{asset}/raw`: the raw records behind an asset, as stored."""

from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import read_query
from api.parameters.raw import RawParameters
from api.queries.assets.missing import asset_not_found, require_listing
from api.queries.history.raw import FoundRecords, find_records
from api.request.problems import RawNotFoundError, RawPrunedError
from api.responses.cached import Representation, cached_response, json_members
from api.schemas.raw import RawRecordSchema

bp = Blueprint("raw", __name__)

RAW = RawParameters()
RECORDS = RawRecordSchema(many=True)


@bp.get("/data/<asset>/raw")
@documented(RECORDS, RawParameters, problems=(404, 503), conditional=True)
def raw(asset: str) -> Response:
    """Show the raw records behind an asset, as stored.

    Without parameters it is the newest record of each listing. With `hash` it is the record with
    that hash, with `observed_at` the records of that instant. Payloads are text from the sources:
    never trust them. For a pruned record `payload` is null and `pruned` names the archive. If all
    records are pruned, the response is 404 (`raw_pruned`); their observations are still in the
    asset's history. If the asset has no listing with this `source` and `external_id`, the response
    is 404 (`listing_not_found`) and names the existing listings.
    """
    return cached_response(lambda: list_records(asset))


def list_records(slug: str) -> Representation:
    query = read_query(RAW, request.query_string)
    with read() as conn:
        listing = query["source"], query["external_id"]
        found = find_records(conn, slug, *listing, query["hash"], query["observed_at"])
        if not found.exists:
            raise asset_not_found(conn, slug)
        if not found.records:
            require_listing(conn, slug, *listing)
    _require_payloads(slug, found)
    return Representation(
        data=msgspec.json.encode(RECORDS.dump(found.records)),
        meta=json_members(count=len(found.records)),
        meta_outside_etag=json_members(version=found.version),
        rows=len(found.records),
        changed_at=None,  # pruning changes no asset
    )


def _require_payloads(slug: str, found: FoundRecords) -> None:
    if not found.records:
        raise RawNotFoundError(
            f"asset {slug!r} has no such raw record; /data/{slug} shows its listings and hashes"
        )
    if all(record["payload"] is None for record in found.records):
        pruned = "; ".join(map(_describe_pruned, found.records))
        raise RawPrunedError(f"{pruned}; its observation is in /data/{slug}/history")


def _describe_pruned(record: Mapping[str, Any]) -> str:
    name = f"the raw record of {record['source']} of {record['observed_at']:%Y-%m-%d}"
    pruned = record["pruned"]
    if pruned is None:
        return f"{name} is not in the database"
    if pruned["archive"] is None:
        return f"{name} was pruned on {pruned['pruned_at']:%Y-%m-%d}, and no copy was kept"
    archive = f"{pruned['archive']} (SHA-256 {pruned['digest'].hex()})"
    return f"{name} was pruned, and is in the archive {archive}"
