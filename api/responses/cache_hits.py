"""Answers cached requests before Flask: its request objects would cost more than the response.

The conditions, status, headers, body, metrics and log line are the same as with Flask. Flask
handles a request if one of these is true:

- its method is neither GET nor HEAD
- no response is cached for it, or the cached one shows other stale sources
- which sources are stale was not checked recently
- it has an `Origin` header, and origins are configured for CORS
- its key was not looked up recently, is expired or lacks the scope; or a required key is missing
- its client is over the rate limit
"""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.http import HTTP_STATUS_CODES

from api.database.cache import Cache
from api.database.change_listener import ChangeListener
from api.middleware.keys import PAGES, Keys, scope_of, senders_of, sent_key
from api.middleware.limits import COUNTED, Limiter, Quota, name_client
from api.middleware.proxies import HSTS
from api.request.access import HEADERS, Arrival, Outcome, record
from api.request.negotiation import JSON, PAGE
from api.request.process_metrics import Instruments
from api.responses.cached import VARY, Representation, cache_control, cache_key, respond
from api.responses.staleness import Stale, Staleness
from shared.settings import Settings

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

OMITTED_FROM_304 = frozenset({"last-modified"})
"""Headers of a representation that werkzeug removes from a 304."""

SECURE_SCHEMES = frozenset({"https", "wss"})

STATUS = {code: f"{code} {HTTP_STATUS_CODES[code].upper()}" for code in (200, 304)}

REPLACED_HEADERS = {
    JSON: {"Cache-Control"},
    PAGE: {"Cache-Control", "Content-Security-Policy", "Referrer-Policy"},
}
"""Names of the common headers that a representation has with values of its own."""

COMMON_HEADERS = {
    media: [each for each in HEADERS.items() if each[0] not in replaced]
    for media, replaced in REPLACED_HEADERS.items()
}
"""The other common headers. Every media type except that of pages has those of JSON."""


def serve_cache_hits(app: Flask, settings: Settings) -> None:
    """Answer requests from the cache before Flask handles them."""
    if app.extensions["cache"] is not None:
        app.wsgi_app = CacheHits(app, app.wsgi_app, settings)  # type: ignore[method-assign]


class CacheHits:
    """WSGI middleware that answers from the cache. Proxy headers must be applied before it."""

    def __init__(self, app: Flask, wsgi_app: Wsgi, settings: Settings) -> None:
        self._wsgi_app = wsgi_app
        self._cache: Cache = app.extensions["cache"]
        self._changes: ChangeListener = app.extensions["database"].changes
        self._staleness: Staleness = app.extensions["staleness"]
        self._instruments: Instruments = app.extensions["instruments"]
        self._keys: Keys = app.extensions["keys"]
        self._limiter: Limiter | None = app.extensions.get("limiter")
        self._keys_required = settings.api_keys_required
        self._has_origins = bool(settings.api_cors_origins)
        by_origin = ["Origin"] if self._has_origins and "*" not in settings.api_cors_origins else []
        self._cache_headers = {
            media: [
                ("Cache-Control", cache_control(settings, media)),
                ("Vary", ", ".join([VARY, *by_key, *by_origin])),
            ]
            for media, by_key in (
                (JSON, senders_of("") if self._keys_required else ()),
                (PAGE, senders_of(PAGES) if self._keys_required else ()),
            )
        }

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        key = cache_key(environ)
        if key in self._cache and environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            arrival = Arrival.of(environ)
            found = self._find(key, environ)
            if found is not None:
                return self._respond(*found, arrival, environ, start_response)
        return self._wsgi_app(environ, start_response)

    def _find(
        self, key: Any, environ: dict[str, Any]
    ) -> tuple[Representation, Stale, Quota | None] | None:
        """Return the cached representation, the stale sources and the quota.

        None if Flask has to handle the request.
        """
        mark = self._changes.mark()
        cached: Representation | None = self._cache.get(key, mark) if mark is not None else None
        stale = self._staleness.current()
        if cached is None or stale is None or not cached.is_valid_for(stale):
            return None
        if self._has_origins and "HTTP_ORIGIN" in environ:
            return None
        is_allowed, key_id = self._identify(environ, cached)
        if not is_allowed:
            return None
        quota = None
        if self._limiter is not None:
            quota = self._limiter.count(name_client(key_id, environ.get("REMOTE_ADDR")))
            if quota.exceeded:
                environ[COUNTED] = quota
                return None
        return cached, stale, quota

    def _identify(
        self, environ: Mapping[str, Any], cached: Representation
    ) -> tuple[bool, int | None]:
        """Return (is_allowed, key id).

        False: the key is missing, unknown here, expired or without the scope; Flask answers.
        """
        sent = sent_key(environ, cached.route, required=self._keys_required)
        if sent is None:
            return not self._keys_required, None
        key = self._keys.recently_found(sent)
        if key is None or key.has_expired():
            return False, None
        return not self._keys_required or scope_of(cached.route) in key.scopes, key.id

    def _respond(
        self,
        cached: Representation,
        stale: Stale,
        quota: Quota | None,
        arrival: Arrival,
        environ: dict[str, Any],
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        instruments, method = self._instruments, environ["REQUEST_METHOD"]
        instruments.request_started()
        arrival.bind()
        media = PAGE if cached.media == PAGE else JSON
        status, headers, body, rows = respond(
            cached, stale, arrival, environ, self._cache_headers[media]
        )
        if status == HTTPStatus.OK:
            headers += [("Content-Type", cached.media), ("Content-Length", str(len(body)))]
        else:
            headers = [each for each in headers if each[0].lower() not in OMITTED_FROM_304]
        if quota is not None and self._limiter is not None:
            headers += self._limiter.headers(quota)
        if environ["wsgi.url_scheme"] in SECURE_SCHEMES:
            headers.append(("Strict-Transport-Security", HSTS))
        headers += arrival.headers({}, "hit")
        headers += COMMON_HEADERS[media]
        sent = body if method == "GET" else b""
        outcome = Outcome(method, cached.route, cached.path, status, len(sent), rows, 0.0, "hit")
        record(instruments, arrival, environ, outcome)
        start_response(STATUS[status], headers)
        return (sent,) if sent else ()
