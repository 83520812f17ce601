"""One asset."""

from flask import Response

from api.dashboard.blueprint import bp


@bp.get("/assets/<slug>")
def asset(slug: str) -> Response:
    raise NotImplementedError
