"""Answers that are kept while the data stays what it is, and told apart by an `ETag`."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
from flask import Response, current_app, g, request
from werkzeug.http import http_date, parse_date, parse_etags

from api.database.cache import Cache
from api.database.watch import Watch
from api.middleware.paths import target_of
from api.request.access import Arrival, arrival, note_cache
from api.request.negotiation import JSON, PAGE
from api.responses.compression import Zipped, takes_gzip
from api.responses.staleness import Stale, stale_sources
from shared.settings import Settings

SETTLED_SECONDS = 60
"""How long the data must have been what it is for a time, in whole seconds, to tell it from what it
was before (RFC 9110, 8.8.2.2)."""

MOST_FRESH_SECONDS = 60

LONGEST_KEY = 4000
"""Of how many characters a request may be whose answer is kept; `Answer.size` counts so many."""

WORTH_ZIPPING = 1000
"""From how many bytes on a body is compressed."""

BEGIN = b'{"data":'

VARY = "Accept, Accept-Encoding"

Key = tuple[str | None, ...]
Headers = Sequence[tuple[str, str]]

TURNS_OF_FRESHNESS = 20
"""Into how many parts the worker's interval is cut: clients may keep an answer for one of them."""


@dataclass(slots=True)
class Answer:
    """What an answer says, but for what differs from one request to the next."""

    data: bytes
    """The member `data` of a JSON answer; the whole of one in another format."""
    meta: bytes
    """Further members of `meta`, as JSON without braces; for JSON alone."""
    rows: int
    changed_at: float | None
    """When the data last changed, in seconds since 1970; None where nothing can be said of it."""
    media: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    varies: bytes = b""
    """A part of `meta` that tells nobody that the answer is another."""
    stale_tag: str | None = None
    """What tells which stale sources `data` names; None where it names none."""
    route: str = ""
    path: str = ""
    """By which route and path it was asked for, where it is kept."""
    tag: str = field(init=False)
    _zipped: Zipped | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        told = b"\0".join([self.media.encode(), self.data, self.meta])
        self.tag = blake2b(told, digest_size=10).hexdigest()

    def names(self, stale: Stale) -> bool:
        """Whether the data says the right thing of the stale sources."""
        return self.stale_tag is None or self.stale_tag == stale.tag

    @property
    def size(self) -> int:
        """Say how many bytes it takes, with its compressed form."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return 2 * (len(self.data) + len(self.meta) + headers) + LONGEST_KEY

    def body(self, stale: Stale, arrival: Arrival, *, gzip: bool) -> tuple[bytes, bool]:
        """Return its body for one request, and whether that is compressed."""
        end = self._end(stale, arrival) if self.media == JSON else b""
        if gzip and len(self.data) > WORTH_ZIPPING:
            return self._zip().finish(end), True
        return (b"".join((BEGIN, self.data, end)) if self.media == JSON else self.data), False

    def _end(self, stale: Stale, arrival: Arrival) -> bytes:
        """Write the member `meta` of a JSON answer, which is of its own request, and its end."""
        return b',"meta":{"request_id":"%b","api_latency_ms":%b,%b}}' % (
            arrival.request_id.encode(),
            str(arrival.latency_ms()).encode(),
            b",".join(filter(None, [self.meta, self.varies, b'"stale_sources":' + stale.json])),
        )

    def _zip(self) -> Zipped:
        if self._zipped is None:
            self._zipped = Zipped(BEGIN + self.data if self.media == JSON else self.data)
        return self._zipped


def members(**values: Any) -> bytes:
    """Write members of a JSON object, without its braces."""
    return msgspec.json.encode(values)[1:-1]


def kept(make: Callable[[], Answer]) -> Response:
    """Answer with what was made for the same request since the data last changed, or make it.

    304 where the client has it already. What the client gets is never older than the last commit
    but one: a change drops everything that was kept, moments after it was committed.
    `api.responses.hits` answers most requests whose answer is there before they come here.
    """
    return _response(_find(make))


def current(make: Callable[[], Answer]) -> Response:
    """Answer with what is made for this request alone: it changes without a commit."""
    note_cache(hit=False)
    return _response(make())


def _response(answer: Answer) -> Response:
    status, headers, body, g.rows = give(
        answer, stale_sources(), arrival(), request.environ, _fixed_headers(answer.media)
    )
    return Response(body, status, headers, content_type=answer.media)


def give(
    answer: Answer, stale: Stale, arrival: Arrival, environ: Mapping[str, Any], fixed: Headers
) -> tuple[int, list[tuple[str, str]], bytes, int]:
    """Give an answer to one request: the status, its own headers, the body, and the rows in it.

    `fixed` are the headers that do not depend on it.
    """
    headers = _headers(answer, stale, fixed)
    if _client_has(answer, headers[0][1], environ):
        return 304, headers, b"", 0
    gzip = takes_gzip(environ.get("HTTP_ACCEPT_ENCODING"))
    body, is_zipped = answer.body(stale, arrival, gzip=gzip)
    if is_zipped:
        headers.append(("Content-Encoding", "gzip"))
    return 200, headers, body, answer.rows


def key_of(environ: Mapping[str, Any]) -> Key:
    """Return what an answer is kept under: all of a request that decides on what it says."""
    return (
        environ.get("SCRIPT_NAME"),
        target_of(environ),
        environ.get("PATH_INFO"),
        environ.get("QUERY_STRING"),
        environ.get("HTTP_ACCEPT"),
    )


def _find(make: Callable[[], Answer]) -> Answer:
    extensions = current_app.extensions
    cache: Cache | None = extensions["cache"]
    watch: Watch = extensions["database"].watch
    mark = watch.mark() if cache is not None else None
    if cache is None or mark is None:
        note_cache(hit=False)
        return make()
    key = key_of(request.environ)
    found: Answer | None = cache.get(key, mark)
    if found is not None and not found.names(stale_sources()):
        found = None
    note_cache(hit=found is not None)
    if found is None:
        found = make()
        found.route, found.path = request.url_rule.rule if request.url_rule else "", request.path
        if sum(len(part or "") for part in key) <= LONGEST_KEY:
            cache.keep(key, mark, found)
    return found


def _headers(answer: Answer, stale: Stale, fixed: Headers) -> list[tuple[str, str]]:
    headers = [("ETag", f'W/"{answer.tag}{stale.tag}"'), *fixed, *answer.headers]
    if answer.changed_at is not None:
        # A second early while the time cannot tell this from the commit before.
        early = 0 if _is_settled(answer.changed_at) else 1
        headers.append(("Last-Modified", _http_date(int(answer.changed_at) - early)))
    if stale.names and answer.media not in {JSON, PAGE}:
        headers.append(("X-Stale-Sources", ", ".join(stale.names)))
    return headers


@lru_cache(10)
def _http_date(seconds: int) -> str:
    return http_date(seconds)


def _fixed_headers(media: str) -> Headers:
    settings = current_app.extensions["settings"]
    return [("Cache-Control", cache_control(settings, media)), ("Vary", VARY)]


def cache_control(settings: Settings, media: str = JSON) -> str:
    """Say how long clients may keep an answer: a twentieth of the time between two loads.

    A browser asks for a page again each time, and learns at once that its key is gone.
    """
    seconds = min(settings.run_interval_seconds // TURNS_OF_FRESHNESS, MOST_FRESH_SECONDS)
    whose = "private" if settings.api_keys_required else "public"
    return f"{whose}, no-cache" if media == PAGE else f"{whose}, max-age={seconds}, must-revalidate"


def _client_has(answer: Answer, etag: str, environ: Mapping[str, Any]) -> bool:
    """Whether the condition of the request says so; a time counts only without an `ETag`."""
    given = environ.get("HTTP_IF_NONE_MATCH")
    if given is not None:
        return given == etag or parse_etags(given).contains_weak(etag[3:-1])
    since = parse_date(environ.get("HTTP_IF_MODIFIED_SINCE"))
    if since is None or answer.changed_at is None or not _is_settled(answer.changed_at):
        return False
    return int(answer.changed_at) <= since.timestamp()


def _is_settled(changed_at: float) -> bool:
    return time.time() - changed_at > SETTLED_SECONDS
