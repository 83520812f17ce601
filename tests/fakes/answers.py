"""Answers of a source on loopback, as the provider gives them or broken in one way."""

import json
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

JSON = "application/json; charset=utf-8"
MIB = 2**20
RATE_LIMIT = {
    "status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit. Please wait."}
}
KEY_MISSING = {"status": {"error_code": 10002, "error_message": "API Key Missing"}}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived; the names of its headers are in lower case."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. A `body` of None is what the real thing would have said, if need be `edited`.

    One that is edited has no `ETag`: the next is asked for in full.
    """

    status: int = 200
    body: bytes | None = None
    edited: Callable[[bytes], bytes] | None = None
    repeat: int = 1
    content_type: str | None = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    gzip: bool = False
    declared_length: int | None = None
    lengthless: bool = False
    cut_at: int | None = None
    stalls: bool = False
    resets: bool = False
    trickles: bool = False
    slow_headers: bool = False
    after: threading.Event | None = None
    late_by: float = 0


def real() -> Answer:
    """Answer as the real thing would."""
    return Answer()


def status(code: int, body: object = None, **headers: str) -> Answer:
    """Answer with an HTTP status and a JSON body; `Retry_After="3"` is a header."""
    told = {"error": HTTPStatus(code).phrase} if body is None else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=code, body=json.dumps(told).encode(), headers=named)


def rate_limited(*, seconds: int | None = None, as_date: bool = False) -> Answer:
    """CoinGecko's 429, with a `Retry-After` in seconds or as a date, or without one."""
    headers = {}
    if seconds is not None:
        now = datetime.now(UTC).replace(microsecond=0)
        until = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
        headers = {"Retry-After": until if as_date else str(seconds)}
        headers["Date"] = format_datetime(now, usegmt=True)
    return Answer(status=429, body=json.dumps(RATE_LIMIT).encode(), headers=headers)


def rate_limited_with_200() -> Answer:
    """The same body, with status 200, as one report has it."""
    return Answer(body=json.dumps(RATE_LIMIT).encode())


def payment_required() -> Answer:
    """CoinPaprika's 402."""
    return status(402, {"error": "this call is not allowed in this plan"})


def html(code: int = 200) -> Answer:
    """A page for people, where JSON was asked for."""
    page = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
    return Answer(status=code, body=page, content_type="text/html; charset=UTF-8")


def empty_list() -> Answer:
    return Answer(body=b"[]")


def listed(records: Iterable[bytes]) -> Answer:
    """Answer with these records as a list."""
    return Answer(body=b"[" + b",".join(records) + b"]")


def body(content: bytes, content_type: str | None = JSON) -> Answer:
    """Answer with these bytes and status 200."""
    return Answer(body=content, content_type=content_type)


def truncated(at: int = 100) -> Answer:
    """Declare the whole length, send so many bytes, and hang up."""
    return Answer(cut_at=at)


def edited(edit: Callable[[bytes], bytes]) -> Answer:
    """Answer with what the real thing would have said, changed."""
    return Answer(edited=edit)


def stalled(at: int = 100) -> Answer:
    """Declare the whole length, send so many bytes, and say no more."""
    return Answer(cut_at=at, stalls=True)


def short_by(count: int) -> Answer:
    """Declare a length that is too small: the rest of the body is never read."""
    return Answer(declared_length=-count)


def redirect(location: str) -> Answer:
    return Answer(status=302, body=b"", headers={"Location": location})


def gzip_bomb(size: int) -> Answer:
    """A small body that unpacks to this many bytes."""
    packer = zlib.compressobj(1, wbits=31)
    parts = (b"[", *[b" " * MIB] * (size // MIB), b"]")
    packed = b"".join(map(packer.compress, parts)) + packer.flush()
    return Answer(body=packed, headers={"Content-Encoding": "gzip"})


def huge(mebibytes: int, *, lengthless: bool = False) -> Answer:
    """A large body, whose length is declared or only shows at its end."""
    return Answer(body=b" " * MIB, repeat=mebibytes, lengthless=lengthless)


def deep(levels: int) -> Answer:
    """A list with one record that nests this deep."""
    return Answer(body=b'[{"id":"deep","x":' + b"[" * levels + b"]" * levels + b"}]")


def reset() -> Answer:
    """Take the request, and reset the connection."""
    return Answer(resets=True)


def held(until: threading.Event) -> Answer:
    """Answer only once the event is set."""
    return Answer(after=until)


def late(seconds: float) -> Answer:
    return Answer(late_by=seconds)


def trickle() -> Answer:
    """Send the body a byte at a time, 20 bytes a second, so that no read ever times out."""
    return Answer(trickles=True)


def slow_headers() -> Answer:
    """Send the headers a byte at a time, 20 bytes a second, so that no read ever times out."""
    return Answer(slow_headers=True)
