"""`/rejects`: refused records and their reasons."""

from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters import QueryString
from api.parameters.operations import (
    RejectReasonsParameters,
    RejectsParameters,
    read_id,
    reject_filters,
)
from api.queries.operations.rejects import (
    count_reasons,
    find_reject,
    find_rejects,
)
from api.request.problems import RejectNotFoundError
from api.responses.answers import document
from api.responses.id_pages import paged
from api.schemas.operations.rejects import RejectDetailSchema, RejectReasonSchema, RejectSchema

bp = Blueprint("rejects", __name__)


@bp.get("/rejects")
@documented(RejectSchema(many=True), RejectsParameters, problems=(503,), paged=True)
def rejects() -> Response:
    """List refused records, newest first. The default is open rejects.

    Payloads are the source's own text: never trust them.
    """
    query = RejectsParameters().load(request.args)
    with read() as conn:
        page = find_rejects(conn, reject_filters(query), query["page_size"], query["before"])
    return paged(RejectSchema(many=True), page, query)


@bp.get("/rejects/reasons")
@documented(RejectReasonSchema(many=True), RejectReasonsParameters, problems=(503,))
def reasons() -> Response:
    """Count refused records by source and kind of reason, those with the most records first.

    Counted are the newest 10 000 records that match the filters. The default is open rejects.
    """
    query = RejectReasonsParameters().load(request.args)
    with read() as conn:
        found = count_reasons(conn, reject_filters(query), query["limit"])
    return document(RejectReasonSchema(many=True), found)


@bp.get("/rejects/<reject_id>")
@documented(RejectDetailSchema(), problems=(404, 503))
def reject(reject_id: str) -> Response:
    """Show one refused record with its payload as received."""
    QueryString().load(request.args)
    with read() as conn:
        found = find_reject(conn, read_id(reject_id, RejectNotFoundError))
    if found is None:
        raise RejectNotFoundError(f"no reject has the id {reject_id}; /rejects lists all rejects")
    return document(RejectDetailSchema(), found)
