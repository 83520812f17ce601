"""`/changes`: what changed since a version of the data, for whoever keeps a copy of it."""

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
    """List what changed since a version of the data, in the order of the commits.

    An asset that changed several times is there once, as it is now; a removed one is there without
    its values. Go on with `since` = `meta.until`: at once while `meta.more` is true (the `Link`
    header leads on as long), and later to hear of what is new.
    """
    return cached_response(list_changes)


def list_changes() -> Representation:
    """Find the changes that this request asks for."""
    query = read_query(CHANGES, request.query_string)
    media = choose_format(query["format"], "json", "ndjson")
    since, page_size = query["since"], query["page_size"]
    with read() as conn:
        page = find_changes(conn, since, page_size, strings=query["decimals"] == "string")
    if since > page.version:
        reason = (
            f"{since} is ahead of the data here, which is at version {page.version}: try again "
            "where this server may lag behind another; else the copy is of another database, or of "
            "this one before it was restored, and has to start again at 0"
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
    """Lead on while there is more: who follows links comes to an end."""
    return links(next={**request.args, "since": page.until} if page.more else None)


def _counts(page: ChangePage) -> list[tuple[str, str]]:
    """Say in headers what JSON says in `meta`."""
    return [
        ("X-Data-Version", str(page.version)),
        ("X-Until", str(page.until)),
        ("X-More", "true" if page.more else "false"),
    ]
