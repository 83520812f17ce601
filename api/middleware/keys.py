"""API keys: authentication of requests and the scope that each route requires."""

import functools
import re
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import Forbidden, HTTPException, Unauthorized

from api.database.pool import read
from api.middleware import limits
from api.queries.keys import find_key, find_keys
from shared.model.keys import KEY, hash_key
from shared.settings import Settings

OPEN = frozenset({"/", "/openapi.json", "/docs", "/health/live", "/health/ready"})
"""Routes that need no key and ignore it."""

SCOPE_BY_BEGINNING: Mapping[str, str] = {
    "data": "data",
    "changes": "data",
    "trends": "data",
    "health": "operations",
    "stats": "operations",
    "runs": "operations",
    "rejects": "operations",
    "drift": "operations",
    "reviews": "operations",
    "metrics": "operations",
}
"""The scope that a route requires, by the first segment of its path."""

EXPORT = "/data/export"

PAGES = "/dashboard"
"""The path of the pages for browsers. Only their routes accept a key as a cookie."""

COOKIE = "kasparro_key"
"""The cookie with a browser's key. Its path is `PAGES`, so other routes never receive it."""

IN_COOKIES = re.compile(rf"(?:^|;[ \t]*){COOKIE}=(kasparro_[\w-]{{43}})[ \t]*(?:;|\Z)", re.ASCII)
"""Finds the key in the header `Cookie`. Other cookies of the host may contain any bytes."""

OPEN_BEGINNINGS = ("/docs/", f"{PAGES}/static/", f"{PAGES}/sign-")
"""The beginnings of further routes that need no key."""

SCOPE_BY_PAGE: Mapping[str, str] = {"": "data", "assets": "data", "divergent": "data"}
"""The scope of a page by the segment after `PAGES`; other pages require `operations`."""

KEY_CACHE_SECONDS = 1.0
"""How long a found key is cached. A revoked key works for as long at most."""


class ApiKeyError(HTTPException):
    """A problem with the key; `challenge` is its `WWW-Authenticate` header (RFC 6750)."""

    challenge = "Bearer"

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self.challenge)]


class ApiKeyMissingError(ApiKeyError, Unauthorized):
    problem = "api_key_missing"
    description = "this route requires an API key; send `Authorization: Bearer ...` or `X-API-Key`"


class ApiKeyUnknownError(ApiKeyError, Unauthorized):
    problem = "api_key_unknown"
    challenge = 'Bearer error="invalid_token"'
    description = "this API key does not exist or was revoked"


class ApiKeyExpiredError(ApiKeyUnknownError):
    problem = "api_key_expired"


class ScopeMissingError(ApiKeyError, Forbidden):
    problem = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this API key lacks the scope {scope!r}")
        self.challenge = f'Bearer error="insufficient_scope", scope="{scope}"'


@dataclass(frozen=True, slots=True)
class Key:
    """An existing key, expired or not."""

    id: int
    name: str
    scopes: Collection[str]
    expires_at: datetime | None

    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


class Keys:
    """The keys that this process found recently. Unknown keys are unbounded and not cached."""

    def __init__(self) -> None:
        self._found: dict[bytes, tuple[float, Key]] = {}
        self._all: dict[bytes, Key] = {}
        self._all_until = 0.0
        self._lock = threading.Lock()

    def recently_found(self, key: str) -> Key | None:
        """Return a key that was found within the last second."""
        until, found = self._found.get(hash_key(key), (0.0, None))
        return found if time.monotonic() < until else None

    def found_before(self, key: str) -> Key | None:
        """Return a key that was valid when this process last looked it up, however long ago.

        Use it only to distinguish clients: the key may have been revoked since.
        """
        _, found = self._found.get(hash_key(key), (0.0, None))
        return None if found is None or found.has_expired() else found

    def look_up(self, key: str) -> Key | None:
        """Read a key from the database; None if it does not exist or was revoked."""
        digest = hash_key(key)
        started = time.monotonic()
        with read() as conn:
            row = find_key(conn, digest)
        if row is None:
            self._found.pop(digest, None)
            return None
        found = Key(**row)
        self._found[digest] = started + KEY_CACHE_SECONDS, found
        return found

    def look_up_among_all(self, key: str) -> Key | None:
        """Find a key in the list of all keys, which is read at most once a second.

        So wrong keys cost at most one query a second.
        """
        with self._lock:
            now = time.monotonic()
            if now >= self._all_until:
                with read() as conn:
                    rows = find_keys(conn)
                self._all = {
                    bytes(row.key_hash): Key(row.id, row.name, row.scopes, row.expires_at)
                    for row in rows
                }
                self._all_until = now + KEY_CACHE_SECONDS
            digest = hash_key(key)
            found = self._all.get(digest)
            if found is None:
                self._found.pop(digest, None)
            else:
                self._found[digest] = self._all_until, found
            return found


@functools.lru_cache(256)
def scope_of(rule: str) -> str | None:
    """Return the scope that a route requires; None for routes that need no key.

    A route that is not listed here requires `operations`.
    """
    if rule in OPEN or rule.startswith(OPEN_BEGINNINGS):
        return None
    if is_page(rule):
        _, _, first, *_ = f"{rule}/".split("/")
        return SCOPE_BY_PAGE.get(first, "operations")
    return "export" if rule == EXPORT else SCOPE_BY_BEGINNING.get(rule.split("/")[1], "operations")


def is_page(rule: str) -> bool:
    """Whether a route belongs to the dashboard."""
    return rule == PAGES or rule.startswith(f"{PAGES}/")


def scope_of_request() -> str | None:
    return scope_of(request.url_rule.rule) if request.url_rule is not None else None


def identify_clients(app: Flask, settings: Settings) -> None:
    """Identify the client of a request by its key, so that the rate limit counts it per key.

    `require_keys` refuses invalid keys later, because refused requests count too.
    """
    app.extensions["keys"] = Keys()
    required = settings.api_keys_required

    def identify() -> None:
        if request.url_rule is None or scope_of_request() is None:
            return
        sent = sent_key(request.environ, request.url_rule.rule, required=required)
        if sent is None:
            return
        key = find(sent)
        if key is None:
            g.refusal = ApiKeyUnknownError()
        elif key.has_expired():
            g.refusal = ApiKeyExpiredError(f"this API key expired at {key.expires_at:%FT%TZ}")
        else:
            g.api_key = key

    app.before_request(identify)


def find(sent: str) -> Key | None:
    """Find a key. Wrong keys of one address count against the rate limit.

    When the address has reached it, valid keys are still found, in the list of all keys.

    Raises:
        RateLimitedError: the key is wrong, and the address has sent too many wrong keys.
        ServiceUnavailable: the database cannot be reached.
    """
    keys: Keys = current_app.extensions["keys"]
    key = keys.recently_found(sent)
    if key is not None or not KEY.fullmatch(sent):
        return key
    limiter: limits.Limiter | None = current_app.extensions.get("limiter")
    wrong = f"wrong keys/{limits.address(request.remote_addr or '')}"
    if limiter is not None and limiter.has_reached_limit(wrong):
        key = keys.look_up_among_all(sent)
        if key is None:
            limits.refuse(limiter.count_locally(wrong))
        return key
    key = keys.look_up(sent)
    if key is None and limiter is not None:
        limiter.count_locally(wrong)
    return key


def sent_key(environ: Mapping[str, Any], rule: str, *, required: bool) -> str | None:
    """Return the key as the client sent it to a route, valid or not.

    Cookies are ignored where keys are not required: browsers also send the cookie of a key that
    was revoked since.
    """
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(credentials.strip())
    given: str | None = environ.get("HTTP_X_API_KEY")
    if given is None and required and is_page(rule):
        return key_in_cookie(environ.get("HTTP_COOKIE", ""))
    return given


def key_in_cookie(header: str) -> str | None:
    """Return the key in a header `Cookie`; None without our cookie, or if it contains no key."""
    found = IN_COOKIES.search(header)
    return found[1] if found else None


def senders_of(rule: str) -> Sequence[str]:
    """Return the request headers in which a route accepts a key."""
    return ("Authorization", "X-API-Key", *(["Cookie"] if is_page(rule) else []))


def require_keys(app: Flask, settings: Settings) -> None:
    """Refuse invalid keys and, if keys are required, requests without a key of the scope."""
    required = settings.api_keys_required

    def require() -> None:
        if "refusal" in g:
            raise g.refusal
        scope = scope_of_request()
        if scope is None or not required:
            return
        key = g.get("api_key")
        if key is None:
            raise ApiKeyMissingError
        if scope not in key.scopes:
            raise ScopeMissingError(scope)

    def keep_private(response: Response) -> Response:
        if scope_of_request() is not None:
            response.vary.update(senders_of(request.url_rule.rule if request.url_rule else ""))
            if response.cache_control.public:
                response.cache_control.public = False
                response.cache_control.private = True
        return response

    app.before_request(require)
    if required:
        app.after_request(keep_private)
