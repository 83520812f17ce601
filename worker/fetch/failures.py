"""The failures of a GET request: whether it is retried or fails the run, and the message.

A message has the URL without secrets, the response, and the setting to check.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
import urllib3

from shared.errors import RetryableError, SourceError
from worker.fetch.limits import Limits
from worker.fetch.messages import (
    KEY_PROBLEM,
    MAX_EXCERPT,
    MONTHLY_LIMIT,
    RATE_LIMIT,
    parse_error,
    readable_text,
    redact_url,
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
    """Creates the errors of one request.

    Raises:
        SourceError: `misconfigured`, if the request's URL is invalid.
    """

    def __init__(self, provider: str, request: Request) -> None:
        self._secrets = [value for value in request.headers.values() if value]
        self.message: str | None = None
        """The reported error without our advice; None if the response reported none."""
        self._provider = provider
        self._base_url = f"{provider.upper()}_BASE_URL"
        self._api_key = f"{provider.upper()}_API_KEY"
        self._rate = f"{provider.upper()}_REQUESTS_PER_MINUTE"
        try:
            self.host = urlsplit(request.url).hostname or ""
            self.url = redact_url(request)
        except ValueError as exc:
            raise SourceError(
                f"{self._base_url}: invalid URL ({exc})", code="misconfigured"
            ) from exc

    def status(
        self, status: int, body: bytes, kind: str, retry_after: float | None, limits: Limits
    ) -> SourceError | RetryableError:
        """Return the error for a status; `retry_after` is in seconds."""
        excerpt = self._excerpt(body, kind)
        self.message = message = f"GET {self.url}: HTTP {status}{_quoted(excerpt)}"
        if status == TOO_MANY:
            return self._rate_limited(message, retry_after, limits)
        if status in SERVER_ERRORS or status == requests.codes.request_timeout:
            message += _pause_notice(retry_after, limits)
            return RetryableError(message, code=f"http_{status}", retry_after=retry_after)
        if status == PAYMENT_REQUIRED and MONTHLY_LIMIT.search(excerpt):
            return SourceError(
                f"{message}; the provider reports that the month's requests are used up. No request"
                " is sent before the next month (UTC). If the plan has changed or renews earlier,"
                f" lift the pause with `worker budget reset {self._provider}`",
                code=BUDGET_SPENT,
            )
        return SourceError(
            f"{message}; {self._advice(status, excerpt)}", code=CODES.get(status, f"http_{status}")
        )

    def _advice(self, status: int, excerpt: str) -> str:
        if status == requests.codes.forbidden and excerpt and not KEY_PROBLEM.search(excerpt):
            return (
                "the provider refused this request for the reason above; check"
                f" {self._api_key} only if the reason is the key"
            )
        return {
            401: f"check {self._api_key}",
            402: f"the plan does not cover this call: check {self._api_key}",
            403: f"the provider refused the key or this address: check {self._api_key}",
            404: f"check {self._base_url}",
        }.get(status, f"the provider refused this request: check {self._base_url}")

    def check(
        self, body: bytes, content_type: str, retry_after: float | None, limits: Limits
    ) -> None:
        """Check the body of a response with status 200.

        Raises:
            SourceError: `not_json`, `error_answer`.
            RetryableError: `truncated`, `rate_limited`.
        """
        kind = content_type.partition(";")[0].strip().lower()
        if kind and kind not in {"application/json", "text/json"} and not kind.endswith("+json"):
            excerpt = self._excerpt(body, kind)
            check = self._rate if RATE_LIMIT.search(excerpt) else self._base_url
            raise SourceError(
                f"GET {self.url}: HTTP 200{_quoted(excerpt)}; expected JSON, got {kind!r}: check"
                f" {check}",
                code="not_json",
            )
        first, last = body[:64].lstrip()[:1], body[-64:].rstrip()[-1:]
        if not first or {b"[": b"]", b"{": b"}"}.get(first, last) != last:
            reason = "the body is incomplete" if first else "the body is empty"
            raise RetryableError(f"GET {self.url}: {reason}", code="truncated")
        if first == b"{" and len(body) <= LONGEST_ERROR:
            code, text = parse_error(body)
            excerpt = self._excerpt(body, kind)
            self.message = message = f"GET {self.url}: HTTP 200 with an error{_quoted(excerpt)}"
            if code == TOO_MANY:
                raise self._rate_limited(message, retry_after, limits)
            if text:
                check = self._rate if RATE_LIMIT.search(excerpt) else self._api_key
                raise SourceError(
                    f"{message}; check {check} and {self._base_url}", code="error_answer"
                )

    def raised(self, exc: Exception) -> SourceError | RetryableError:
        """Return the error for an exception of the HTTP library."""
        return self._permanent(exc) or self._temporary(exc)

    def _permanent(self, exc: Exception) -> SourceError | None:
        if isinstance(exc, UnicodeError | requests.exceptions.InvalidHeader):
            reason = (
                f"{self._api_key} cannot be sent in a header: it contains an invalid character,"
                " such as a line break; copy the key again"
            )
        elif isinstance(exc, MALFORMED):
            reason = f"invalid URL; check {self._base_url}"
        elif "CERTIFICATE_VERIFY_FAILED" in str(exc):
            return SourceError(
                f"GET {self.url}: the certificate of host {self.host!r} is not trusted; check"
                f" {self._base_url}, the clock and any proxy",
                code="untrusted_certificate",
            )
        else:
            return None
        return SourceError(f"GET {self.url}: {reason}", code="misconfigured")

    def _temporary(self, exc: Exception) -> RetryableError:
        if isinstance(exc, requests.ConnectTimeout) or _never_connected(exc):
            code = "unreachable"
            reason = (
                f"host {self.host!r} cannot be reached ({_cause(exc)}); check the network and"
                f" {self._base_url}"
            )
        elif isinstance(exc, requests.Timeout | urllib3.exceptions.TimeoutError):
            code, reason = "timeout", "timed out"
        elif isinstance(exc, urllib3.exceptions.DecodeError):
            code, reason = "truncated", "the body cannot be decompressed"
        elif isinstance(exc, urllib3.exceptions.ProtocolError):
            code, reason = "truncated", "the body is incomplete"
        else:
            code, reason = "connection_lost", f"the connection was lost ({_cause(exc)})"
        return RetryableError(f"GET {self.url}: {reason}", code=code)

    def redirected(self, location: str) -> SourceError:
        try:
            host = urlsplit(location).hostname or self.host
        except ValueError:
            host = location
        return SourceError(
            f"GET {self.url}: redirected to host {host!r}; redirects are not followed, so that the"
            f" key is not sent to other hosts; if the host is correct, set {self._base_url}",
            code="redirected",
        )

    def advice(self, failure: RetryableError, pause: float) -> str:
        """Return what an operator can do about a failure of the last attempt.

        `pause` is the number of seconds for which no request is sent now.
        """
        if failure.code == "rate_limited":
            next_ = f"no request is sent for {pause:.0f} s" if pause else "the next run tries again"
            return f"; {next_}; to send fewer requests, lower {self._rate}"
        if failure.code == "unreachable":
            return ""  # the message already has advice
        return (
            "; the next run continues here; if it fails too, see the provider's status page"
            f" and check {self._base_url}"
        )

    def too_large(self, limit: int) -> SourceError:
        return SourceError(
            f"GET {self.url}: the body is larger than {limit // 2**20} MiB, the limit of a page;"
            f" check {self._base_url}",
            code="too_large",
        )

    def too_slow(self, seconds: float) -> RetryableError:
        return RetryableError(
            f"GET {self.url}: the response was not complete after {seconds:.3g} s", code="timeout"
        )

    def paused(self, seconds: float, longest: float, message: str | None) -> RetryableError:
        cause = f"; the provider's message: {message}" if message else ""
        return RetryableError(
            f"GET {self.url}: not sent: the pause that the provider asked for lasts"
            f" {seconds:.0f} s more, and a run waits {longest:.0f} s at most; try again after"
            f" {_after(seconds)}, or run `worker budget reset {self._provider}`{cause}",
            code="rate_limited",
            retry_after=seconds,
        )

    def stopped(self) -> RetryableError:
        return RetryableError(f"GET {self.url}: stopped before the response", code="stopped")

    def _rate_limited(
        self, message: str, retry_after: float | None, limits: Limits
    ) -> RetryableError:
        message += _pause_notice(retry_after, limits)
        return RetryableError(message, code="rate_limited", retry_after=retry_after)

    def _excerpt(self, body: bytes, kind: str) -> str:
        """Return the readable beginning of a body, without the key."""
        text = readable_text(body, kind)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:MAX_EXCERPT]


def _quoted(excerpt: str) -> str:
    return f": {excerpt!r}" if excerpt else ""


def _pause_notice(retry_after: float | None, limits: Limits) -> str:
    """Describe the pause that the provider asks for, and how far it is honoured."""
    if not retry_after:
        return ""
    pause = f"; the provider asks for a pause of {retry_after:.0f} s"
    if retry_after <= limits.longest_wait:
        return pause
    if retry_after > limits.longest_pause:
        return (
            f"{pause}, honoured for {limits.longest_pause:.0f} s; one test request is sent after"
            f" {_after(limits.longest_pause)}"
        )
    return (
        f"{pause}, and a run waits {limits.longest_wait:.0f} s at most; try again after"
        f" {_after(retry_after)}"
    )


def _after(seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return `Retry-After` in seconds; None if it is missing or invalid.

    A date is compared with the `Date` of the response, so that a wrong local clock does not matter.
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
    parsed = parsedate_to_datetime(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _never_connected(exc: Exception) -> bool:
    reason = getattr(exc.args[0] if exc.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _cause(exc: BaseException) -> str:
    """Return the operating system's message for the root cause, or the exception's type."""
    inner: BaseException | None = exc
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return type(exc).__name__
