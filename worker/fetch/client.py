"""The HTTP client: GET requests with timeouts, limits, rate limiting and retries."""

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Self

import requests
import structlog
import urllib3
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_any,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from shared.errors import RetryableError, SourceError
from worker.fetch.body import read_body, read_error
from worker.fetch.failures import BUDGET_SPENT, TOO_MANY, Failures, parse_retry_after
from worker.fetch.limits import DEFAULT_LIMITS, Attempts, Limits, RateLimiter
from worker.fetch.session import DeadlineExceededError, Session, StoppedError
from worker.sources.base import Request, Response
from worker.stopping import StopEvent

log = structlog.get_logger(__name__)


class Http:
    """The HTTP client of a source; implements `worker.sources.base.Fetch`.

    It keeps the connection open. `requests`, `retries` and `waited` (seconds) count from 0. Each
    attempt first waits for the rate limiter. If the `stop` event is set, every wait ends and
    `RetryableError` is raised with the code `stopped`. Messages name the settings of the
    `provider`, by default the source itself. `on_response` is called after each attempt with the
    HTTP status, or None without a response.
    """

    def __init__(  # noqa: PLR0913  keywords, and most for tests
        self,
        source: str,
        rate_limiter: RateLimiter,
        stop: StopEvent,
        limits: Limits = DEFAULT_LIMITS,
        *,
        provider: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.requests = 0
        self.retries = 0
        self.waited = 0.0
        self.on_response: Callable[[int | None], object] = lambda status: None  # noqa: ARG005
        self._source = source
        self._provider = provider or source
        self._rate_limiter = rate_limiter
        self._stop = stop
        self._limits = limits
        self._clock = clock
        self._wait = wait or stop.wait
        self._backoff = wait_random_exponential(
            multiplier=limits.backoff, max=limits.longest_backoff
        )
        self._session = _open_session()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def __call__(self, request: Request, validator: str | None = None) -> Response:
        failures = Failures(self._provider, request)
        attempts = Attempts(self._limits.request)
        retrying = Retrying(
            retry=retry_if_exception(self._may_retry),
            stop=stop_any(
                stop_after_attempt(self._limits.attempts),
                _StopInTime(attempts, self._clock),
            ),
            wait=self._pause_before_next,
            before_sleep=lambda state: self._log_retry(failures.url, state),
            sleep=lambda seconds: self._sleep(seconds, failures),
            reraise=True,
        )
        try:
            return retrying(self._get, request, validator, failures, attempts)
        except RetryableError as exc:
            count = retrying.statistics.get("attempt_number", 1)
            if count == 1 or exc.code == "stopped":
                raise
            pause = 0.0
            if exc.code == "rate_limited" and not exc.retry_after:
                limits = self._limits
                pause = self._rate_limiter.back_off(
                    limits.first_pause, limits.longest_own_pause, failures.message or str(exc)
                )
            raise RetryableError(
                f"{exc} (the last of {count} attempts){failures.advice(exc, pause)}",
                code=exc.code,
                retry_after=exc.retry_after,
            ) from exc

    def _get(
        self, request: Request, validator: str | None, failures: Failures, attempts: Attempts
    ) -> Response:
        waiting_since = self._clock()
        self._wait_for_rate_limiter(failures)
        self.requests += 1
        headers = {**request.headers, **({"If-None-Match": validator} if validator else {})}
        seconds = min(self._limits.answer, attempts.begin(waiting_since, self._clock()))
        statuses: list[int] = []
        try:
            response = self._exchange(request, headers, seconds, failures, statuses)
        except (RetryableError, SourceError) as exc:
            if statuses and statuses[0] != TOO_MANY and exc.code != "rate_limited":
                self._rate_limiter.reset_backoff()
            self._pause_if_asked(exc, failures.message or str(exc))
            raise
        finally:
            self.on_response(statuses[0] if statuses else None)
        self._rate_limiter.reset_backoff()
        return response

    def _pause_if_asked(self, failure: RetryableError | SourceError, message: str) -> None:
        """Pause for the time that the source asked for, or until the next month."""
        if isinstance(failure, SourceError):
            if failure.code == BUDGET_SPENT:
                self._rate_limiter.pause_until_next_month(message)
        elif failure.retry_after:
            self._rate_limiter.pause(min(failure.retry_after, self._limits.longest_pause), message)

    def _exchange(
        self,
        request: Request,
        headers: dict[str, str],
        seconds: float,
        failures: Failures,
        statuses: list[int],
    ) -> Response:
        """Send the request and read the response within the time; append its status.

        Raises:
            RetryableError, SourceError: with a message for every kind of failure.
        """
        session = self._session

        def work() -> Response:
            with session.get(
                request.url,
                params=request.params,
                headers=headers,
                # The read timeout may exceed `seconds`: the session's deadline ends the exchange.
                timeout=(min(self._limits.connect, seconds), self._limits.read),
                stream=True,
                allow_redirects=False,
            ) as response:
                statuses.append(response.status_code)
                return self._read_response(response, failures)

        try:
            return session.exchange(work, seconds, self._stop)
        except StoppedError as exc:
            self._session = _open_session()
            raise failures.stopped() from exc
        except DeadlineExceededError as exc:
            self._session = _open_session()
            raise failures.too_slow(seconds) from exc
        except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as exc:
            failure = failures.raised(exc)
            # The error that requests raises for a bad header quotes the header, which is a secret.
            raise failure from (exc if isinstance(failure, RetryableError) else None)

    def _wait_for_rate_limiter(self, failures: Failures) -> None:
        """Return when a request may be sent; raise if a run does not wait that long.

        After each wait the rate limiter is asked again: another process may have set a pause.
        """
        while True:
            self._sleep(0, failures)
            seconds = self._rate_limiter.acquire()
            if seconds <= 0:
                return
            if seconds > self._limits.longest_wait:
                raise failures.paused(
                    seconds, self._limits.longest_wait, self._rate_limiter.pause_message
                )
            self._sleep(seconds, failures)

    def _read_response(self, response: requests.Response, failures: Failures) -> Response:
        etag = response.headers.get("ETag")
        if response.status_code == requests.codes.not_modified:
            return Response(b"", etag, not_modified=True)
        if response.is_redirect:
            raise failures.redirected(response.headers["Location"])
        retry_after = parse_retry_after(response.headers)
        kind = response.headers.get("Content-Type", "")
        if response.status_code != requests.codes.ok:
            error = read_error(response)
            raise failures.status(response.status_code, error, kind, retry_after, self._limits)
        limit = self._limits.body_bytes
        if (response.raw.length_remaining or 0) > limit:
            raise failures.too_large(limit)
        body = read_body(response, limit + 1)
        if len(body) > limit:
            raise failures.too_large(limit)
        failures.check(body, kind, retry_after, self._limits)
        return Response(body, etag)

    def _sleep(self, seconds: float, failures: Failures) -> None:
        if seconds > 0:
            started = self._clock()
            self._wait(seconds)
            self.waited += self._clock() - started
        if self._stop.is_set():
            raise failures.stopped()

    def _pause_before_next(self, state: RetryCallState) -> float:
        return _failure(state).retry_after or self._backoff(state)

    def _may_retry(self, exc: BaseException) -> bool:
        return (
            isinstance(exc, RetryableError)
            and exc.code != "stopped"
            and (exc.retry_after or 0) <= self._limits.longest_wait
        )

    def _log_retry(self, url: str, state: RetryCallState) -> None:
        self.retries += 1
        failure = _failure(state)
        log.warning(
            "request failed, retry scheduled",
            source=self._source,
            url=url,
            code=failure.code,
            error=str(failure),
            attempt=state.attempt_number,
            pause_seconds=round(state.upcoming_sleep, 1),
        )


def _failure(state: RetryCallState) -> RetryableError:
    """Return the failure of the last attempt."""
    failure = state.outcome.exception() if state.outcome else None
    assert isinstance(failure, RetryableError)  # noqa: S101 - `retry` lets no other through
    return failure


class _StopInTime(stop_base):
    """Stop if the next attempt would begin after the time for all attempts."""

    def __init__(self, attempts: Attempts, clock: Callable[[], float]) -> None:
        self._attempts = attempts
        self._clock = clock

    def __call__(self, retry_state: RetryCallState) -> bool:
        return self._attempts.count(self._clock()) <= retry_state.upcoming_sleep


def _open_session() -> Session:
    session = Session()
    session.headers["User-Agent"] = user_agent()
    session.headers["Accept"] = "application/json"
    return session


def user_agent() -> str:
    """Return the program's name, with its version if it is installed."""
    try:
        return f"kasparro-etl/{version('kasparro-etl')}"
    except PackageNotFoundError:
        return "kasparro-etl"
