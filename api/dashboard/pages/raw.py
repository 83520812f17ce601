"""The raw records behind an asset's values, as they are stored."""

from typing import Any

from flask import Response, request
from marshmallow import ValidationError, validates_schema

from api.dashboard.blueprint import bp
from api.dashboard.parameters import read_page_query
from api.dashboard.rendering import page
from api.database.pool import read
from api.parameters.moment import MomentParameters
from api.parameters.raw import RawParameters
from api.queries.assets.missing import asset_not_found, require_listing
from api.queries.history.raw import find_records
from api.request.problems import RawNotFoundError
from api.responses.cached import Representation, cached_response


class RawPageParameters(RawParameters, MomentParameters):
    """Parameters of the page: those of `GET /data/{asset}/raw`, and the time to go back to."""

    @validates_schema
    def refuse_the_newest_of_the_past(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse to show the newest records as those of the past."""
        if data["as_of"] is not None and data["hash"] is None and data["observed_at"] is None:
            reason = "names no record; follow a link of the asset's page, or give hash"
            raise ValidationError({"as_of": [reason]})


RAW = RawPageParameters()


@bp.get("/assets/<slug>/raw")
def raw(slug: str) -> Response:
    """Show raw records."""
    return cached_response(lambda: show_records(slug))


def show_records(slug: str) -> Representation:
    """Find the records, and make the page."""
    query = read_page_query(RAW, request.query_string)
    of_a_listing = query["source"], query["external_id"]
    with read() as conn:
        found = find_records(conn, slug, *of_a_listing, query["hash"], query["observed_at"])
        if not found.exists:
            raise asset_not_found(conn, slug)
        if not found.records:
            require_listing(conn, slug, *of_a_listing)
            raise RawNotFoundError(
                f"no such raw record of {slug!r}; its page links to those there are"
            )
    return page(
        "raw",
        rows=len(found.records),
        data_at=max(record["ingested_at"] for record in found.records),
        slug=slug,
        records=found.records,
    )
