"""Cached answers, given before Flask has a request: making one costs more than such an answer.

What Flask would find in the cache is found here, under the same conditions, and goes out with the
same status, headers and body, the same counts and the same log line. Every other request goes on
to Flask: one that is not cached, one whose key is to be looked up or refused, one whose client has
spent its rate limit, one that comes when the sources have to be judged anew.
"""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.http import HTTP_STATUS_CODES

from api.database.cache import Cache
from api.database.watch import Watch
from api.middleware.keys import PAGES, Keys, given_key, scope_of, senders_of
from api.middleware.limits import COUNTED, Limiter, Standing, name_client
from api.middleware.proxies import HSTS
from api.request.access import HEADERS, Arrival, Outcome, record
from api.request.instruments import Instruments
from api.request.negotiation import JSON, PAGE
from api.responses.cached import VARY, Answer, cache_control, give, key_of
from api.responses.staleness import Stale, Staleness
from shared.settings import Settings

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

NOT_OF_304 = frozenset({"last-modified"})
"""Of an answer's own headers, those that werkzeug leaves out of a 304."""

SECURE = frozenset({"https", "wss"})

STATUS = {code: f"{code} {HTTP_STATUS_CODES[code].upper()}" for code in (200, 304)}

OF_THE_ANSWER = {JSON: {"Cache-Control"}, PAGE: {"Cache-Control", "Content-Security-Policy"}}
"""Of the headers that every answer has, those that an answer brings itself."""

CONSTANT = {
    media: [each for each in HEADERS.items() if each[0] not in own]
    for media, own in OF_THE_ANSWER.items()
}


def answer_hits_first(app: Flask, settings: Settings) -> None:
    """Have what the cache holds answered before Flask sees the request."""
    if app.extensions["cache"] is not None:
        app.wsgi_app = Hits(app, app.wsgi_app, settings)  # type: ignore[method-assign]


class Hits:
    """The application with its cache in front. Proxies are to be believed before it."""

    def __init__(self, app: Flask, others: Wsgi, settings: Settings) -> None:
        self._others = others
        self._cache: Cache = app.extensions["cache"]
        self._watch: Watch = app.extensions["database"].watch
        self._staleness: Staleness = app.extensions["staleness"]
        self._counts: Instruments = app.extensions["instruments"]
        self._keys: Keys = app.extensions["keys"]
        self._limiter: Limiter | None = app.extensions.get("limiter")
        self._wants_key = settings.api_keys_required
        self._has_origins = bool(settings.api_cors_origins)
        by_origin = ["Origin"] if self._has_origins and "*" not in settings.api_cors_origins else []
        self._fixed = {
            media: [
                ("Cache-Control", cache_control(settings, media)),
                ("Vary", ", ".join([VARY, *by_key, *by_origin])),
            ]
            for media, by_key in (
                (JSON, senders_of("") if self._wants_key else ()),
                (PAGE, senders_of(PAGES) if self._wants_key else ()),
            )
        }

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        key = key_of(environ)
        if key in self._cache and environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            arrival = Arrival.of(environ)
            found = self._find(key, environ)
            if found is not None:
                return self._answer(*found, arrival, environ, start_response)
        return self._others(environ, start_response)

    def _find(
        self, key: Any, environ: dict[str, Any]
    ) -> tuple[Answer, Stale, Standing | None] | None:
        """Return what Flask would answer with; None where it has to decide itself."""
        mark = self._watch.mark()
        answer: Answer | None = self._cache.get(key, mark) if mark is not None else None
        stale = self._staleness.judged()
        if answer is None or stale is None or not answer.names(stale):
            return None
        if self._has_origins and "HTTP_ORIGIN" in environ:
            return None
        is_allowed, key_id = self._identify(environ, answer)
        if not is_allowed:
            return None
        standing = None
        if self._limiter is not None:
            standing = self._limiter.count(name_client(key_id, environ.get("REMOTE_ADDR")))
            if standing.exceeded:
                environ[COUNTED] = standing
                return None
        return answer, stale, standing

    def _identify(self, environ: Mapping[str, Any], answer: Answer) -> tuple[bool, int | None]:
        """Say whether a request is allowed without looking its key up, and the id of its key."""
        given = given_key(environ, answer.route)
        if given is None:
            return not self._wants_key, None
        key = self._keys.known(given)
        if key is None or key.has_expired():
            return False, None
        return not self._wants_key or scope_of(answer.route) in key.scopes, key.id

    def _answer(
        self,
        answer: Answer,
        stale: Stale,
        standing: Standing | None,
        arrival: Arrival,
        environ: dict[str, Any],
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        counts, method = self._counts, environ["REQUEST_METHOD"]
        counts.begun()
        arrival.bind()
        kind = PAGE if answer.media == PAGE else JSON
        status, headers, body, rows = give(answer, stale, arrival, environ, self._fixed[kind])
        if status == HTTPStatus.OK:
            headers += [("Content-Type", answer.media), ("Content-Length", str(len(body)))]
        else:
            headers = [each for each in headers if each[0].lower() not in NOT_OF_304]
        if standing is not None and self._limiter is not None:
            headers += self._limiter.headers(standing)
        if environ["wsgi.url_scheme"] in SECURE:
            headers.append(("Strict-Transport-Security", HSTS))
        headers += arrival.headers({}, "hit")
        headers += CONSTANT[kind]
        sent = body if method == "GET" else b""
        outcome = Outcome(method, answer.route, answer.path, status, len(sent), rows, 0.0, "hit")
        record(counts, arrival, environ, outcome)
        start_response(STATUS[status], headers)
        return (sent,) if sent else ()
