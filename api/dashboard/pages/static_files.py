"""The static files of the pages: one style sheet, and small scripts."""

import functools
import gzip
from typing import cast

from flask import Response, request
from werkzeug.exceptions import NotFound

from api.dashboard.blueprint import bp
from api.dashboard.links import STATIC, digest
from api.responses.compression import client_accepts_gzip

KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

A_YEAR = 31_536_000

NAMES = frozenset(path.name for path in STATIC.iterdir())


@bp.get("/static/<name>", endpoint="static")
def file(name: str) -> Response:
    """Send a file. A URL with its digest is of this content for ever; others are checked."""
    if name not in NAMES:
        raise NotFound
    zipped = client_accepts_gzip()
    response = Response(read(name, zipped=zipped), content_type=KINDS[name.rpartition(".")[2]])
    if zipped:
        response.content_encoding = "gzip"
    response.vary.add("Accept-Encoding")
    response.cache_control.public = True
    if request.args.get("v") == digest(name):
        response.cache_control.max_age = A_YEAR
        response.cache_control.immutable = True
    else:
        response.cache_control.no_cache = True
    response.set_etag(digest(name), weak=True)
    return cast("Response", response.make_conditional(request))


@functools.cache
def read(name: str, *, zipped: bool) -> bytes:
    content = (STATIC / name).read_bytes()
    return gzip.compress(content, mtime=0) if zipped else content
