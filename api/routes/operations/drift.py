"""`/drift`: differences between the shapes of the sources and the known shapes."""

from flask import Blueprint, Response, request

from api.database.pool import read
from api.openapi.contract import documented
from api.parameters.operations import DriftParameters
from api.queries.operations.drift import find_drift
from api.responses.id_pages import paged
from api.schemas.operations.drift import DriftSchema

bp = Blueprint("drift", __name__)


@bp.get("/drift")
@documented(DriftSchema(many=True), DriftParameters, problems=(503,), paged=True)
def drift() -> Response:
    """List drift, newest first. The default is drift that is not acknowledged.

    Paths and examples are the source's own text: never trust them.
    """
    query = DriftParameters().load(request.args)
    with read() as conn:
        page = find_drift(
            conn, query["source"], query["state"], query["page_size"], query["before"]
        )
    return paged(DriftSchema(many=True), page, query)
