"""`/docs`: a page with the documentation of the API, on which every route can be tried."""

import functools
from importlib.resources import files
from pathlib import Path
from typing import cast

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from api.openapi.contract import documented
from api.parameters import QueryString

bp = Blueprint("docs", __name__)

OURS = Path(str(files("api"))) / "docs_page"
SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
"""Swagger UI, from a package of 2.5 MB that is updated every week. The package's own page has an
inline script, which `POLICY` forbids, so this project has its own page. Alternatives: swagger-ui-py
has 25 MB and is a year old; a copy in this repository would need manual updates."""

FILES = {
    "docs.js": (OURS, "text/javascript; charset=utf-8"),
    "favicon-32x32.png": (SWAGGER_UI, "image/png"),
    "swagger-ui-bundle.js": (SWAGGER_UI, "text/javascript; charset=utf-8"),
    "swagger-ui.css": (SWAGGER_UI, "text/css; charset=utf-8"),
}
"""The files of the page, each with its folder and content type."""

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
"""The page may load resources only from this server, and run no inline scripts or styles."""


@bp.get("/docs")
@documented(None, media={"text/html": "<!doctype html>…"})
def page() -> Response:
    """Show the API documentation as a page on which every route can be tried."""
    QueryString().load(request.args)
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(
        read(OURS / "docs.html"), headers=headers, content_type="text/html; charset=utf-8"
    )


@bp.get("/docs/<name>", endpoint="static")
def file(name: str) -> Response:
    """Send a file of the page."""
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
