"""`/changes`: the changes since a version of the data, for mirrors."""

from flask import Blueprint, Response, request
from marshmallow import ValidationError

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import read_query
from api.parameters.assets import ChangesParameters
from api.queries.assets.changes import ChangePage, find_changes
from api.request.negotiation import JSON
from api.responses.answers import links
from api.responses.cached import Representation, cached_response, json_members
from api.responses.formats import NDJSON, choose_format, content_type, join_lines
from api.schemas.assets import AssetChangeSchema

bp = Blueprint("changes", __name__)

CHANGES = ChangesParameters()

EXAMPLE = '{"version":510,"slug":"bitcoin","removed":false,"asset":{"slug":"bitcoin"}}\n'


@bp.get("/changes")
@documented(
    AssetChangeSchema(many=True),
    ChangesParameters,
    problems=(503,),
    paged="feed",
    media={JSON: None, NDJSON: EXAMPLE},
    conditional=True,
)
def changes() -> Response:
    """List the changes since a version of the data, in commit order.

    An asset that changed several times is listed once, as it is now. A removed asset is listed
    without its values. Continue with `since` = `meta.until`: at once while `meta.more` is true (the
    `Link` header is present as long), and later for new changes.
    """
    return cached_response(list_changes)


def list_changes() -> Representation:
    query = read_query(CHANGES, request.query_string)
    media = choose_format(query["format"], "json", "ndjson")
    since, page_size = query["since"], query["page_size"]
    with read() as conn:
        page = find_changes(conn, since, page_size, strings=query["decimals"] == "string")
    if since > page.version:
        reason = (
            f"{since} is ahead of this server's data, which has version {page.version}; if this "
            "server can lag behind another, try again; otherwise the copy comes from another "
            "database, or from before a restore, and has to start again at 0"
        )
        raise ValidationError({"since": [reason]})
    return Representation(
        data=join_lines(media, page.lines, ()),
        meta=json_members(
            count=len(page.lines),
            page_size=page_size,
            until=page.until,
            more=page.more,
            version=page.version,
        ),
        rows=len(page.lines),
        changed_at=page.changed_at,
        media=content_type(media),
        headers=(
            *(("Link", value) for value in _links(page)),
            *(_counts(page) if media != JSON else ()),
        ),
    )


def _links(page: ChangePage) -> list[str]:
    """Link to the next page only while more changes exist, so that following links ends."""
    return links(next={**request.args, "since": page.until} if page.more else None)


def _counts(page: ChangePage) -> list[tuple[str, str]]:
    """Return the members of JSON's `meta` as headers, for other formats."""
    return [
        ("X-Data-Version", str(page.version)),
        ("X-Until", str(page.until)),
        ("X-More", "true" if page.more else "false"),
    ]
