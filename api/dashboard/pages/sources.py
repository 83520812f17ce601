"""The sources: how each does."""

from flask import Response

from api.dashboard.blueprint import bp


@bp.get("/sources")
def sources() -> Response:
    raise NotImplementedError
