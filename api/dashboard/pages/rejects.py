"""Refused records."""

from flask import Response

from api.dashboard.blueprint import bp


@bp.get("/rejects")
def rejects() -> Response:
    raise NotImplementedError
