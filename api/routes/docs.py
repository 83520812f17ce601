"""`/docs`: a page to read about the API and to try it. It needs no other host."""

import functools
from importlib.resources import files
from pathlib import Path
from typing import cast

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from api.openapi.contract import documented
from api.parameters import QueryString

bp = Blueprint("docs", __name__)

OURS = Path(str(files("api"))) / "static"
SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
"""Swagger UI, from a package of 2.5 MB that follows it every week. The package's own page has an
inline script, which `POLICY` forbids, so the page is ours. swagger-ui-py has 25 MB and is a year
old; a copy in this repository would have to be updated by hand."""

FILES = {
    "docs.js": (OURS, "text/javascript; charset=utf-8"),
    "favicon-32x32.png": (SWAGGER_UI, "image/png"),
    "swagger-ui-bundle.js": (SWAGGER_UI, "text/javascript; charset=utf-8"),
    "swagger-ui.css": (SWAGGER_UI, "text/css; charset=utf-8"),
}
"""What the page consists of: where each file is, and its type."""

A_DAY = 86_400

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What the page may load and ask: this server alone, and nothing that is written into the page."""


@bp.get("/docs")
@documented(None, media={"text/html": "<!doctype html>…"})
def page() -> Response:
    """Show this description as a page on which every route can be tried."""
    QueryString().load(request.args)
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(
        read(OURS / "docs.html"), headers=headers, content_type="text/html; charset=utf-8"
    )


@bp.get("/docs/<name>", endpoint="static")
def file(name: str) -> Response:
    """Send a part of the page."""
    if name not in FILES:
        raise NotFound
    folder, kind = FILES[name]
    response = Response(read(folder / name), content_type=kind)
    response.cache_control.public = True
    response.cache_control.max_age = A_DAY
    response.add_etag()
    return cast("Response", response.make_conditional(request))


@functools.cache
def read(path: Path) -> bytes:
    return path.read_bytes()
