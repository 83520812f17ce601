"""Signing in with an API key, and out again.

The key is kept in a cookie that only the dashboard receives and only its pages accept. Scripts
cannot read it, and no other site's page or form makes a browser send it.
"""

import re
from typing import cast

from flask import Response, current_app, redirect, request, url_for
from werkzeug.exceptions import Forbidden

from api.dashboard.blueprint import bp
from api.dashboard.errors import ask_for_key, cookie_path
from api.dashboard.links import NAVIGATION
from api.middleware.keys import (
    COOKIE,
    PAGES,
    ApiKeyExpiredError,
    ApiKeyUnknownError,
    Key,
    find,
    is_page,
    scope_of,
)
from api.middleware.paths import is_canonical

THIRTY_DAYS = 30 * 86_400

PORT = re.compile(r":\d*\Z")


@bp.get("/sign-in")
def sign_in() -> Response:
    """Ask for a key."""
    return ask_for_key(None)


@bp.post("/sign-in")
def keep_key() -> Response:
    """Check a key as the API does, and keep it in the browser, if this server requires keys."""
    _refuse_other_sites()
    if not current_app.extensions["settings"].api_keys_required:
        return ask_for_key(None)
    given = request.form.get("key", "").strip()
    key = find(given)
    if key is None:
        return ask_for_key(ApiKeyUnknownError(), _next_page())
    if key.has_expired():
        expired = ApiKeyExpiredError(f"this API key expired at {key.expires_at:%FT%TZ}")
        return ask_for_key(expired, _next_page())
    response = cast("Response", redirect(f"{request.script_root}{_page_for(key)}", 303))
    response.set_cookie(
        COOKIE,
        given,
        max_age=THIRTY_DAYS,
        path=cookie_path(),
        secure=request.is_secure,
        httponly=True,
        samesite="Strict",
    )
    return response


@bp.post("/sign-out")
def sign_out() -> Response:
    """Forget the key."""
    _refuse_other_sites()
    response = cast("Response", redirect(f"{cookie_path()}/sign-in", 303))
    response.delete_cookie(COOKIE, path=cookie_path())
    return response


def _page_for(key: Key) -> str:
    """Return the page to open with a key: the next one, or another for a key without the market."""
    page = _next_page()
    if page.partition("?")[0] != PAGES or scope_of(PAGES) in key.scopes:
        return page
    urls = (url_for(f"dashboard.{name}") for name, _ in NAVIGATION)
    paths = (url.removeprefix(request.script_root) for url in urls)
    return next((path for path in paths if scope_of(path) in key.scopes), page)


def _next_page() -> str:
    """Return the page that the form names, if the dashboard can have it; else its first page."""
    given = str(request.form.get("next", ""))
    path = given.partition("?")[0]
    return given if is_page(path) and is_canonical(path) else PAGES


def _refuse_other_sites() -> None:
    """Refuse a form that another site's page has sent.

    Browsers send `Sec-Fetch-Site` over HTTPS and to this machine, and `Origin` always. Other
    clients send neither. Ports are not compared, because cookies do not distinguish them either.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        is_own = site in {"same-origin", "none"}
    else:
        is_own = origin is None or _host(origin.partition("://")[2]) == _host(request.host)
    if not is_own:
        raise Forbidden("this form was sent by another site's page; open the dashboard itself")


def _host(authority: str) -> str:
    return PORT.sub("", authority).lower()
