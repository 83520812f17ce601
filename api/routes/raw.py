"""`/data/{asset}/raw`: what the sources sent of one asset, as it was received."""

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
    """Show the raw records behind one asset's present values, as they were received.

    One for each listing: its newest; or, with `hash`, those of that hash, and with `observed_at`
    those of that instant. They are the sources' own text, and not to be trusted. Where a record was
    pruned, its `payload` is null and `pruned` names the archive; where that is so of all of them
    the answer is 404 (`raw_pruned`), and what was observed is still in the asset's history. Where
    `source` and `external_id` name no listing of the asset it is 404 (`listing_not_found`), and
    names those that there are.
    """
    return cached_response(lambda: list_records(asset))


def list_records(slug: str) -> Representation:
    """Find the raw records that this request asks for."""
    query = read_query(RAW, request.query_string)
    with read() as conn:
        of_a_listing = query["source"], query["external_id"]
        found = find_records(conn, slug, *of_a_listing, query["hash"], query["observed_at"])
        if not found.exists:
            raise asset_not_found(conn, slug)
        if not found.records:
            require_listing(conn, slug, *of_a_listing)
    _refuse_what_is_not_there(slug, found)
    return Representation(
        data=msgspec.json.encode(RECORDS.dump(found.records)),
        meta=json_members(count=len(found.records)),
        varies=json_members(version=found.version),
        rows=len(found.records),
        changed_at=None,  # a record that is pruned changes no asset
    )


def _refuse_what_is_not_there(slug: str, found: FoundRecords) -> None:
    if not found.records:
        raise RawNotFoundError(
            f"no such raw record of {slug!r}; /data/{slug} lists its listings and their hashes"
        )
    if all(record["payload"] is None for record in found.records):
        gone = "; ".join(map(_describe_pruned, found.records))
        raise RawPrunedError(f"{gone}; what was observed by it is in /data/{slug}/history")


def _describe_pruned(record: Mapping[str, Any]) -> str:
    what = f"the raw record of {record['source']} of {record['observed_at']:%Y-%m-%d}"
    pruned = record["pruned"]
    if pruned is None:
        return f"{what} is not here"
    if pruned["archive"] is None:
        return f"{what} was pruned on {pruned['pruned_at']:%Y-%m-%d}, and no copy was kept"
    archive = f"{pruned['archive']} (SHA-256 {pruned['digest'].hex()})"
    return f"{what} was pruned, and is in the archive {archive}"
