"""Signing in with an API key, and out again.

The key is kept in a cookie that only the dashboard receives and only its pages accept. Scripts
cannot read it, and no other site's page or form makes a browser send it.
"""

from typing import cast
from urllib.parse import urlsplit

from flask import Response, redirect, request
from werkzeug.exceptions import Forbidden

from api.dashboard.blueprint import bp
from api.dashboard.errors import ask_for_key, cookie_path
from api.middleware.keys import (
    COOKIE,
    PAGES,
    ApiKeyExpiredError,
    ApiKeyUnknownError,
    find,
    is_page,
)

THIRTY_DAYS = 30 * 86_400

LONGEST_FORM = 10_000
"""Of how many bytes a form may be that signs in."""


@bp.get("/sign-in")
def sign_in() -> Response:
    """Ask for a key."""
    return ask_for_key(None)


@bp.post("/sign-in")
def keep_key() -> Response:
    """Check a key as the API does, and keep it in the browser."""
    _refuse_other_sites()
    request.max_content_length = LONGEST_FORM
    given = request.form.get("key", "").strip()
    key = find(given)
    if key is None:
        return ask_for_key(ApiKeyUnknownError())
    if key.has_expired():
        return ask_for_key(ApiKeyExpiredError(f"this API key expired at {key.expires_at:%FT%TZ}"))
    response = cast("Response", redirect(_next(), 303))
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


def _next() -> str:
    """Return the page to go on to: one of the dashboard's, whatever the form says."""
    asked = urlsplit(request.form.get("next", ""))
    inside = not asked.scheme and not asked.netloc and is_page(asked.path)
    path, query = (asked.path, asked.query) if inside else (PAGES, "")
    return f"{request.script_root}{path}" + (f"?{query}" if query else "")


def _refuse_other_sites() -> None:
    """Refuse a form that another site's page has sent."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("this form was sent by another site's page; open the dashboard itself")
