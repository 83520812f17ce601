"""What can go wrong with a GET, and for each what to do next: try again, or fail the run.

A message says what was asked (never a key), what came back, and which setting to look at.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
import urllib3

from shared.errors import RetryableError, SourceError
from worker.fetch.limits import Limits
from worker.fetch.words import (
    LONGEST_WORDS,
    OF_A_MONTH,
    OF_THE_KEY,
    OF_THE_PACE,
    error_in,
    shown_url,
    words_in,
)
from worker.sources.base import Request

CODES = {401: "unauthorized", 402: "payment_required", 403: "forbidden", 404: "not_found"}
BUDGET_SPENT = "budget_spent"
PAYMENT_REQUIRED = 402
TOO_MANY = 429
SERVER_ERRORS = range(500, 600)
LONGEST_ERROR = 64 * 1024
LONGEST_WAIT = timedelta(days=400).total_seconds()
MALFORMED = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)


class Failures:
    """The failures of one request, worded.

    Raises:
        SourceError: `misconfigured`, where the request's URL is none.
    """

    def __init__(self, provider: str, request: Request) -> None:
        self._secrets = [value for value in request.headers.values() if value]
        self.said: str | None = None
        """What the answer said, before any advice; None where it said nothing of an error."""
        self._provider = provider
        self._base_url = f"{provider.upper()}_BASE_URL"
        self._api_key = f"{provider.upper()}_API_KEY"
        self._rate = f"{provider.upper()}_REQUESTS_PER_MINUTE"
        try:
            self.host = urlsplit(request.url).hostname or ""
            self.url = shown_url(request)
        except ValueError as exc:
            raise SourceError(
                f"{self._base_url}: not a URL that can be asked ({exc})", code="misconfigured"
            ) from exc

    def status(
        self, status: int, body: bytes, kind: str, asked: float | None, limits: Limits
    ) -> SourceError | RetryableError:
        """Say what an answer with this status means; `asked` is its `Retry-After` in seconds."""
        words = self._words(body, kind)
        self.said = message = f"GET {self.url}: HTTP {status}{_quoted(words)}"
        if status == TOO_MANY:
            return self._rate_limited(message, asked, limits)
        if status in SERVER_ERRORS or status == requests.codes.request_timeout:
            message += _when(asked, limits)
            return RetryableError(message, code=f"http_{status}", retry_after=asked)
        if status == PAYMENT_REQUIRED and OF_A_MONTH.search(words):
            return SourceError(
                f"{message}; by the provider's count the requests of the month are used, so it is"
                " not asked before the next month begins (UTC). If the plan has changed, or renews"
                f" earlier, lift the pause with `worker budget reset {self._provider}`",
                code=BUDGET_SPENT,
            )
        return SourceError(
            f"{message}; {self._advice(status, words)}", code=CODES.get(status, f"http_{status}")
        )

    def _advice(self, status: int, words: str) -> str:
        """Say what to look at; where the provider gave its reason, that comes first."""
        if status == requests.codes.forbidden and words and not OF_THE_KEY.search(words):
            return (
                "that is the provider's reason to refuse this request; check"
                f" {self._api_key} only where it is about the key"
            )
        return {
            401: f"check {self._api_key}",
            402: f"the plan does not cover this call: check {self._api_key}",
            403: f"the provider refuses the key or this address: check {self._api_key}",
            404: f"check {self._base_url}",
        }.get(status, f"the provider does not take this request: check {self._base_url}")

    def check(self, body: bytes, content_type: str, asked: float | None, limits: Limits) -> None:
        """Refuse what came with status 200 and is no answer.

        Raises:
            SourceError: `not_json`, `error_answer`.
            RetryableError: `truncated`, `rate_limited`.
        """
        kind = content_type.partition(";")[0].strip().lower()
        if kind and kind not in {"application/json", "text/json"} and not kind.endswith("+json"):
            words = self._words(body, kind)
            check = self._rate if OF_THE_PACE.search(words) else self._base_url
            raise SourceError(
                f"GET {self.url}: HTTP 200{_quoted(words)}; expected JSON, got {kind!r}: check"
                f" {check}",
                code="not_json",
            )
        first, last = body[:64].lstrip()[:1], body[-64:].rstrip()[-1:]
        if not first or {b"[": b"]", b"{": b"}"}.get(first, last) != last:
            what = "the body is cut off" if first else "the body is empty"
            raise RetryableError(f"GET {self.url}: {what}", code="truncated")
        if first == b"{" and len(body) <= LONGEST_ERROR:
            code, text = error_in(body)
            words = self._words(body, kind)
            self.said = message = f"GET {self.url}: HTTP 200, with an error in it{_quoted(words)}"
            if code == TOO_MANY:
                raise self._rate_limited(message, asked, limits)
            if text:
                check = self._rate if OF_THE_PACE.search(words) else self._api_key
                raise SourceError(
                    f"{message}; check {check} and {self._base_url}", code="error_answer"
                )

    def raised(self, exc: Exception) -> SourceError | RetryableError:
        """Say what an exception of the HTTP library means."""
        return self._final(exc) or self._passing(exc)

    def _final(self, exc: Exception) -> SourceError | None:
        if isinstance(exc, UnicodeError | requests.exceptions.InvalidHeader):
            what = (
                f"a header cannot carry {self._api_key}: it holds a character that no key has,"
                " such as a line break; copy the key again"
            )
        elif isinstance(exc, MALFORMED):
            what = f"not a URL that can be asked; check {self._base_url}"
        elif "CERTIFICATE_VERIFY_FAILED" in str(exc):
            return SourceError(
                f"GET {self.url}: the certificate of host {self.host!r} is not trusted; check"
                f" {self._base_url}, the clock, and what stands between (a proxy)",
                code="untrusted_certificate",
            )
        else:
            return None
        return SourceError(f"GET {self.url}: {what}", code="misconfigured")

    def _passing(self, exc: Exception) -> RetryableError:
        if isinstance(exc, requests.ConnectTimeout) or _never_connected(exc):
            code = "unreachable"
            what = (
                f"host {self.host!r} cannot be reached ({_cause(exc)}); check the network and"
                f" {self._base_url}"
            )
        elif isinstance(exc, requests.Timeout | urllib3.exceptions.TimeoutError):
            code, what = "timeout", "timed out"
        elif isinstance(exc, urllib3.exceptions.DecodeError):
            code, what = "truncated", "the body does not unpack"
        elif isinstance(exc, urllib3.exceptions.ProtocolError):
            code, what = "truncated", "the body is cut off"
        else:
            code, what = "connection_lost", f"the connection was lost ({_cause(exc)})"
        return RetryableError(f"GET {self.url}: {what}", code=code)

    def redirected(self, location: str) -> SourceError:
        try:
            host = urlsplit(location).hostname or self.host
        except ValueError:
            host = location
        return SourceError(
            f"GET {self.url}: redirected to host {host!r}, which was not followed, since a key"
            f" must not go there unasked; if it is right, set {self._base_url}",
            code="redirected",
        )

    def advice(self, failure: RetryableError, pause: float) -> str:
        """Say what a person can do about a failure that did not heal within a run's attempts.

        `pause` are the seconds for which the source is not asked now.
        """
        if failure.code == "rate_limited":
            held = f"it is not asked for {pause:.0f} s" if pause else "the next run tries again"
            return f"; {held}: to ask less often, lower {self._rate}"
        if failure.code == "unreachable":
            return ""  # says so itself
        return (
            "; the next run goes on from here: if it fails too, look at the provider's status page"
            f" and check {self._base_url}"
        )

    def too_large(self, limit: int) -> SourceError:
        return SourceError(
            f"GET {self.url}: the body is larger than {limit // 2**20} MiB, which no page of this"
            f" source is; check {self._base_url}",
            code="too_large",
        )

    def too_slow(self, seconds: float) -> RetryableError:
        return RetryableError(
            f"GET {self.url}: the answer was not complete after {seconds:.3g} s", code="timeout"
        )

    def deferred(self, seconds: float, longest: float, said: str | None) -> RetryableError:
        why = f"; it said: {said}" if said else ""
        return RetryableError(
            f"GET {self.url}: not asked, for the source asked for a pause that lasts"
            f" {seconds:.0f} s more, and a run waits {longest:.0f} s at most: try again after"
            f" {_after(seconds)}, or lift it with `worker budget reset {self._provider}`{why}",
            code="rate_limited",
            retry_after=seconds,
        )

    def stopped(self) -> RetryableError:
        return RetryableError(f"GET {self.url}: stopped before it was answered", code="stopped")

    def _rate_limited(self, message: str, asked: float | None, limits: Limits) -> RetryableError:
        message += _when(asked, limits)
        return RetryableError(message, code="rate_limited", retry_after=asked)

    def _words(self, body: bytes, kind: str) -> str:
        """Give what a body says of the error, in short and without the key."""
        text = words_in(body, kind)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:LONGEST_WORDS]


def _quoted(words: str) -> str:
    return f": {words!r}" if words else ""


def _when(asked: float | None, limits: Limits) -> str:
    """Say which pause the source asks for, and what of it is kept."""
    if not asked:
        return ""
    pause = f"; it asks for a pause of {asked:.0f} s"
    if asked <= limits.longest_wait:
        return pause
    if asked > limits.longest_pause:
        return (
            f"{pause}, which is believed for {limits.longest_pause:.0f} s: one request probes after"
            f" {_after(limits.longest_pause)}"
        )
    return (
        f"{pause}, and a run waits {limits.longest_wait:.0f} s at most: try again after"
        f" {_after(asked)}"
    )


def _after(seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After`, in seconds or as a date; None where there is none that makes sense.

    A date is measured by the answer's own `Date`, so that a wrong clock here does no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        until = _http_date(text)
    except ValueError:
        return None
    try:
        now = _http_date(headers.get("Date", ""))
    except ValueError:
        now = datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT)


def _http_date(text: str) -> datetime:
    read = parsedate_to_datetime(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _never_connected(exc: Exception) -> bool:
    reason = getattr(exc.args[0] if exc.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _cause(exc: BaseException) -> str:
    """Name what lies at the bottom of an exception, in the operating system's words."""
    inner: BaseException | None = exc
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return type(exc).__name__
