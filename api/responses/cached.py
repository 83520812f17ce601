"""Cached responses and conditional requests (`ETag`, `Last-Modified`)."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
from flask import Response, current_app, g, request
from werkzeug.http import http_date, parse_date, parse_etags

from api.database.cache import Cache, RecentValues
from api.middleware.paths import request_target
from api.request.access import Arrival, arrival, note_cache
from api.request.negotiation import JSON, PAGE
from api.responses.compression import CompressedPrefix, accepts_gzip
from api.responses.staleness import Stale, stale_sources
from shared.settings import Settings

SETTLED_SECONDS = 60
"""Age from which `Last-Modified` is a strong validator: it has a resolution of one second, so two
recent commits can have the same time (RFC 9110, 8.8.2.2)."""

MAX_AGE_LIMIT_SECONDS = 60

SHARED_SECONDS = 5
"""How long pages that change without a commit are shared. Open pages check less often."""

MAX_KEY_LENGTH = 4000
"""Requests with a longer cache key are not cached. `Representation.size` assumes this length."""

MIN_COMPRESSED_BYTES = 1000
"""Bodies up to this size are sent uncompressed."""

JSON_PREFIX = b'{"data":'

VARY = "Accept, Accept-Encoding"

Key = tuple[str | None, ...]
Headers = Sequence[tuple[str, str]]

MAX_AGE_DIVISOR = 20
"""Clients may cache a response for the worker's interval divided by this number."""


@dataclass(slots=True)
class Representation:
    """The part of a response that is the same for every request with the same cache key."""

    data: bytes
    """The member `data` of a JSON body, or the complete body in another format."""
    meta: bytes
    """Members of `meta`, as JSON without braces. Used for JSON only."""
    rows: int
    changed_at: float | None
    """Unix time of the last change of the data; None if it is unknown."""
    media: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    meta_outside_etag: bytes = b""
    """Members of `meta` that do not affect the `ETag`."""
    stale_tag: str | None = None
    """The `Stale.tag` of the stale sources that are written into `data`; None if `data` never
    contains them (JSON has them in `meta`, which is written for each request)."""
    route: str = ""
    path: str = ""
    """Route and path of the request that it was made for. Set only when it is cached."""
    tag: str = field(init=False)
    _compressed: CompressedPrefix | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        content = b"\0".join([self.media.encode(), self.data, self.meta])
        self.tag = blake2b(content, digest_size=10).hexdigest()

    def is_valid_for(self, stale: Stale) -> bool:
        """Whether it can be sent while exactly these sources are stale."""
        return self.stale_tag is None or self.stale_tag == stale.tag

    @property
    def size(self) -> int:
        """Estimate its memory use in bytes, including the compressed form and the cache key."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return 2 * (len(self.data) + len(self.meta) + headers) + MAX_KEY_LENGTH

    def body(self, stale: Stale, arrival: Arrival, *, gzip: bool) -> tuple[bytes, bool]:
        """Return the body for one request, and whether it is compressed."""
        suffix = self._json_suffix(stale, arrival) if self.media == JSON else b""
        if gzip and len(self.data) > MIN_COMPRESSED_BYTES:
            return self._compress().with_suffix(suffix), True
        if self.media == JSON:
            return b"".join((JSON_PREFIX, self.data, suffix)), False
        return self.data, False

    def _json_suffix(self, stale: Stale, arrival: Arrival) -> bytes:
        """Write the end of a JSON body: the member `meta`, which differs for each request."""
        return b',"meta":{"request_id":"%b","api_latency_ms":%b,%b}}' % (
            arrival.request_id.encode(),
            str(arrival.latency_ms()).encode(),
            b",".join(
                filter(None, [self.meta, self.meta_outside_etag, b'"stale_sources":' + stale.json])
            ),
        )

    def _compress(self) -> CompressedPrefix:
        if self._compressed is None:
            prefix = JSON_PREFIX + self.data if self.media == JSON else self.data
            self._compressed = CompressedPrefix(prefix)
        return self._compressed


def json_members(**values: Any) -> bytes:
    """Write the members of a JSON object without the braces."""
    return msgspec.json.encode(values)[1:-1]


def cached_response(make: Callable[[], Representation]) -> Response:
    """Respond from the cache, or call `make` and cache its result; 304 if the client has it.

    A commit invalidates the cache within moments. A response is at most that much out of date.
    `api.responses.cache_hits` answers most cached requests before they reach this function.
    """
    extensions = current_app.extensions
    cache: Cache | None = extensions["cache"]
    mark = extensions["database"].changes.mark() if cache is not None else None
    key = cache_key(request.environ)
    if cache is None or mark is None or not _fits(key):
        return _uncached(make)

    def keep(made: Representation) -> None:
        made.route, made.path = request.url_rule.rule if request.url_rule else "", request.path
        cache.put(key, mark, made)

    return _response(_use_or_make(cache.get(key, mark), make, keep))


def shared_response(make: Callable[[], Representation]) -> Response:
    """Respond with what `make` returns, shared for `SHARED_SECONDS`: it changes without a commit.

    A commit ends the sharing too.
    """
    extensions = current_app.extensions
    key = cache_key(request.environ)
    if not extensions["settings"].api_cache_mb or not _fits(key):
        return _uncached(make)
    shared: RecentValues[Representation] = extensions["shared_pages"]
    shared_key = (extensions["database"].changes.mark(), *key)
    return _response(
        _use_or_make(shared.get(shared_key), make, functools.partial(shared.put, shared_key))
    )


def _uncached(make: Callable[[], Representation]) -> Response:
    note_cache(hit=False)
    return _response(make())


def _use_or_make(
    found: Representation | None,
    make: Callable[[], Representation],
    keep: Callable[[Representation], None],
) -> Representation:
    """Return what was found if it is valid; otherwise make a representation and keep it."""
    if found is not None and not found.is_valid_for(stale_sources()):
        found = None
    note_cache(hit=found is not None)
    if found is None:
        found = make()
        keep(found)
    return found


def _response(representation: Representation) -> Response:
    cache_headers = _cache_headers(representation.media)
    status, headers, body, g.rows = respond(
        representation, stale_sources(), arrival(), request.environ, cache_headers
    )
    return Response(body, status, headers, content_type=representation.media)


def respond(
    representation: Representation,
    stale: Stale,
    arrival: Arrival,
    environ: Mapping[str, Any],
    cache_headers: Headers,
) -> tuple[int, list[tuple[str, str]], bytes, int]:
    """Return the status, headers, body and row count of the response to one request.

    `cache_headers` are `Cache-Control` and `Vary`.
    """
    headers = _headers(representation, stale, cache_headers)
    if _client_has_current(representation, headers[0][1], environ):
        return 304, headers, b"", 0
    gzip = accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING"))
    body, is_compressed = representation.body(stale, arrival, gzip=gzip)
    if is_compressed:
        headers.append(("Content-Encoding", "gzip"))
    return 200, headers, body, representation.rows


def cache_key(environ: Mapping[str, Any]) -> Key:
    """Return every part of a request that its representation depends on."""
    return (
        environ.get("SCRIPT_NAME"),
        request_target(environ),
        environ.get("PATH_INFO"),
        environ.get("QUERY_STRING"),
        environ.get("HTTP_ACCEPT"),
    )


def _fits(key: Key) -> bool:
    return sum(len(part or "") for part in key) <= MAX_KEY_LENGTH


def _headers(
    representation: Representation, stale: Stale, cache_headers: Headers
) -> list[tuple[str, str]]:
    etag = f'W/"{representation.tag}{stale.tag}"'
    headers = [("ETag", etag), *cache_headers, *representation.headers]
    changed_at = representation.changed_at
    if changed_at is not None:
        # For the first `SETTLED_SECONDS` send one second less, so that a client's older copy does
        # not count as current: another commit may follow within the same second.
        early = 0 if _is_settled(changed_at) else 1
        headers.append(("Last-Modified", _http_date(int(changed_at) - early)))
    if stale.names and representation.media not in {JSON, PAGE}:
        headers.append(("X-Stale-Sources", ", ".join(stale.names)))
    return headers


@functools.lru_cache(10)
def _http_date(seconds: int) -> str:
    return http_date(seconds)


def _cache_headers(media: str) -> Headers:
    settings = current_app.extensions["settings"]
    return [("Cache-Control", cache_control(settings, media)), ("Vary", VARY)]


def cache_control(settings: Settings, media: str = JSON) -> str:
    """Return `Cache-Control`: clients may cache for a twentieth of the worker's interval.

    Browsers revalidate pages each time, so that a revoked key has an effect at once.
    """
    seconds = min(settings.run_interval_seconds // MAX_AGE_DIVISOR, MAX_AGE_LIMIT_SECONDS)
    visibility = "private" if settings.api_keys_required else "public"
    if media == PAGE:
        return f"{visibility}, no-cache"
    return f"{visibility}, max-age={seconds}, must-revalidate"


def _client_has_current(
    representation: Representation, etag: str, environ: Mapping[str, Any]
) -> bool:
    """Evaluate the conditional headers; `If-None-Match` overrides `If-Modified-Since`."""
    etags = environ.get("HTTP_IF_NONE_MATCH")
    if etags is not None:
        return etags == etag or parse_etags(etags).contains_weak(etag[3:-1])
    since = parse_date(environ.get("HTTP_IF_MODIFIED_SINCE"))
    changed_at = representation.changed_at
    if since is None or changed_at is None or not _is_settled(changed_at):
        return False
    return int(changed_at) <= since.timestamp()


def _is_settled(changed_at: float) -> bool:
    return time.time() - changed_at > SETTLED_SECONDS
