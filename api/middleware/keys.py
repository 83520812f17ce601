"""API keys: who asks, and whether its key opens the route that it asks for."""

import functools
import threading
import time
from collections.abc import Collection, Mapping
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
"""Routes that need no key, and look at none."""

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
"""By the first part of its path, the scope that a route needs."""

EXPORT = "/data/export"

KNOWN_SECONDS = 1.0
"""How long a key that was found is not looked up again, and a revoked one may still work."""


class ApiKeyError(HTTPException):
    """A problem with the key; `challenge` says so in the words of RFC 6750."""

    challenge = "Bearer"

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self.challenge)]


class ApiKeyMissingError(ApiKeyError, Unauthorized):
    problem = "api_key_missing"
    description = "this route wants an API key: `Authorization: Bearer ...`, or `X-API-Key`"


class ApiKeyUnknownError(ApiKeyError, Unauthorized):
    problem = "api_key_unknown"
    challenge = 'Bearer error="invalid_token"'
    description = "this API key is unknown, or was revoked"


class ApiKeyExpiredError(ApiKeyUnknownError):
    problem = "api_key_expired"


class ScopeMissingError(ApiKeyError, Forbidden):
    problem = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this API key lacks the scope {scope!r}")
        self.challenge = f'Bearer error="insufficient_scope", scope="{scope}"'


@dataclass(frozen=True, slots=True)
class Key:
    """A key that exists, expired or not."""

    id: int
    name: str
    scopes: Collection[str]
    expires_at: datetime | None

    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


class Keys:
    """The keys that this process has found of late. Unknown ones are not kept: they have no end."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, Key]] = {}
        self._all: dict[bytes, Key] = {}
        self._all_until = 0.0
        self._lock = threading.Lock()

    def recently_found(self, key: str) -> Key | None:
        """Return a key that was found within the last second."""
        until, found = self._known.get(hash_key(key), (0.0, None))
        return found if time.monotonic() < until else None

    def found_before(self, key: str) -> Key | None:
        """Return a key that was valid when this process last looked it up, however long ago.

        Good for no more than to tell clients apart: it may be revoked since.
        """
        _, found = self._known.get(hash_key(key), (0.0, None))
        return None if found is None or found.has_expired() else found

    def look_up(self, key: str) -> Key | None:
        """Ask the database for a key; None where there is none, or it was revoked."""
        digest = hash_key(key)
        asked_at = time.monotonic()
        with read() as conn:
            row = find_key(conn, digest)
        if row is None:
            self._known.pop(digest, None)
            return None
        found = Key(**row)
        self._known[digest] = asked_at + KNOWN_SECONDS, found
        return found

    def look_up_among_all(self, key: str) -> Key | None:
        """Look for a key among all that there were within the last second.

        Wrong keys cost no more than one query a second, however many are sent.
        """
        with self._lock:
            asked_at = time.monotonic()
            if asked_at >= self._all_until:
                with read() as conn:
                    rows = find_keys(conn)
                self._all = {
                    bytes(row.key_hash): Key(row.id, row.name, row.scopes, row.expires_at)
                    for row in rows
                }
                self._all_until = asked_at + KNOWN_SECONDS
            digest = hash_key(key)
            found = self._all.get(digest)
            if found is None:
                self._known.pop(digest, None)
            else:
                self._known[digest] = self._all_until, found
            return found


@functools.lru_cache(256)
def scope_of(rule: str) -> str | None:
    """Return the scope that a route needs; None for those that are open to all.

    A route that nobody thought of here is not for everybody.
    """
    if rule in OPEN or rule.startswith("/docs/"):
        return None
    return "export" if rule == EXPORT else SCOPE_BY_BEGINNING.get(rule.split("/")[1], "operations")


def scope_of_request() -> str | None:
    return scope_of(request.url_rule.rule) if request.url_rule is not None else None


def identify_clients(app: Flask) -> None:
    """Look at the key of a request that has one, so that what it asks is counted as its own.

    What is wrong with it is said later, by `require_keys`: the request counts first.
    """
    app.extensions["keys"] = Keys()

    def identify() -> None:
        given = sent_key(request.environ)
        if given is None or scope_of_request() is None:
            return
        key = find(given)
        if key is None:
            g.refusal = ApiKeyUnknownError()
        elif key.has_expired():
            g.refusal = ApiKeyExpiredError(f"this API key expired at {key.expires_at:%FT%TZ}")
        else:
            g.api_key = key

    app.before_request(identify)


def find(given: str) -> Key | None:
    """Find a key. What an address sends is not looked up one by one without end.

    Once it has sent as many wrong keys as it may make requests, a right one of its is still found.

    Raises:
        RateLimitedError: the key is wrong, as were as many before it.
        ServiceUnavailable: the database is away.
    """
    keys: Keys = current_app.extensions["keys"]
    key = keys.recently_found(given)
    if key is not None or not KEY.fullmatch(given):
        return key
    limiter: limits.Limiter | None = current_app.extensions.get("limiter")
    wrong = f"wrong keys/{limits.address(request.remote_addr or '')}"
    if limiter is not None and limiter.has_spent_all(wrong):
        key = keys.look_up_among_all(given)
        if key is None:
            limits.refuse(limiter.count_here(wrong))
        return key
    key = keys.look_up(given)
    if key is None and limiter is not None:
        limiter.count_here(wrong)
    return key


def sent_key(environ: Mapping[str, Any]) -> str | None:
    """Return the key that was sent, whether it is one or not."""
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(credentials.strip())
    return environ.get("HTTP_X_API_KEY")


def require_keys(app: Flask, settings: Settings) -> None:
    """Refuse wrong keys and, where keys are required, requests that none with the scope opens."""
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
            response.vary.update(("Authorization", "X-API-Key"))
            if response.cache_control.public:
                response.cache_control.public = False
                response.cache_control.private = True
        return response

    app.before_request(require)
    if required:
        app.after_request(keep_private)
