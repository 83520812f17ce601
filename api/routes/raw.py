"""`/data/{asset}/raw`: what the sources sent of one asset, as it was received."""

import msgspec
from flask import Blueprint, Response, request

from api.contract import documented
from api.db import read
from api.kept import Answer, kept, members
from api.parameters import read_query
from api.parameters.raw import RawParameters
from api.problems import AssetNotFoundError, RawNotFoundError, RawPrunedError
from api.queries.raw import FoundRecords, find_records
from api.schemas.raw import RawRecordSchema

bp = Blueprint("raw", __name__)

RAW = RawParameters()
RECORDS = RawRecordSchema(many=True)


@bp.get("/data/<asset>/raw")
@documented(RECORDS, RawParameters, problems=(404, 503), conditional=True)
def raw(asset: str) -> Response:
    """Show the raw records behind one asset's present values, as they were received.

    One for each listing: its newest; or, with `hash`, those of that hash. They are the sources' own
    text, and not to be trusted. Where a record was pruned, its `payload` is null; where that is so
    of all of them the answer is 404 (`raw_pruned`), and what was observed is still in the asset's
    history.
    """
    return kept(lambda: list_records(asset))


def list_records(slug: str) -> Answer:
    """Find the raw records that this request asks for."""
    query = read_query(RAW, request.query_string)
    with read() as conn:
        found = find_records(conn, slug, query["source"], query["external_id"], query["hash"])
    _refuse_what_is_not_there(slug, found)
    return Answer(
        data=msgspec.json.encode(RECORDS.dump(found.records)),
        meta=members(count=len(found.records)),
        varies=members(version=found.version),
        rows=len(found.records),
        changed_at=None,  # a record that is pruned changes no asset
    )


def _refuse_what_is_not_there(slug: str, found: FoundRecords) -> None:
    if not found.exists:
        raise AssetNotFoundError(f"no asset {slug!r}; /data?q={{text}} searches for one")
    if not found.records:
        raise RawNotFoundError(
            f"no such raw record of {slug!r}; /data/{slug} lists its listings and their hashes"
        )
    if all(record["payload"] is None for record in found.records):
        days = ", ".join(sorted({f"{each['observed_at']:%Y-%m-%d}" for each in found.records}))
        raise RawPrunedError(
            f"the raw record of {days} was pruned; what was observed by it is in"
            f" /data/{slug}/history"
        )
