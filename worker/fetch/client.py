"""One GET: its timeouts, limits and pace, and for every failure what to do next."""

import threading
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
from worker.fetch.failures import BUDGET_SPENT, TOO_MANY, Failures, seconds_to_wait
from worker.fetch.limits import DEFAULT_LIMITS, Attempts, Limits, Turns
from worker.fetch.session import DeadlineExceededError, Session, StoppedError
from worker.sources.base import Request, Response

log = structlog.get_logger(__name__)


class Http:
    """A source's way to the network; `worker.sources.base.Fetch` is what it promises.

    It keeps the connection. `requests`, `retries` and the seconds that it `waited`, for turns and
    between attempts, count up from 0. Each request, a retry too, takes one of the source's turns
    first. Once the `stop` event is set it ends every wait, and raises `RetryableError` with the
    code `stopped`. Messages name the settings of the `provider`, by
    default the source itself. `told` is called after each request with its answer's status, or
    None.
    """

    def __init__(  # noqa: PLR0913  keywords, and most for tests
        self,
        source: str,
        turns: Turns,
        stop: threading.Event,
        limits: Limits = DEFAULT_LIMITS,
        *,
        provider: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.requests = 0
        self.retries = 0
        self.waited = 0.0
        self.told: Callable[[int | None], object] = lambda status: None  # noqa: ARG005
        self._source = source
        self._provider = provider or source
        self._turns = turns
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
            retry=retry_if_exception(self._is_worth_another),
            stop=stop_any(
                stop_after_attempt(self._limits.attempts),
                _StopInTime(attempts, self._clock),
            ),
            wait=self._pause_before_next,
            before_sleep=lambda state: self._tell(failures.url, state),
            sleep=lambda seconds: self._sleep(seconds, failures),
            reraise=True,
        )
        try:
            return retrying(self._get, request, validator, failures, attempts)
        except RetryableError as exc:
            made = retrying.statistics.get("attempt_number", 1)
            if made == 1 or exc.code == "stopped":
                raise
            pause = 0.0
            if exc.code == "rate_limited" and not exc.retry_after:
                limits = self._limits
                pause = self._turns.back_off(
                    limits.first_pause, limits.longest_own_pause, failures.said or str(exc)
                )
            raise RetryableError(
                f"{exc} (the last of {made} attempts){failures.advice(exc, pause)}",
                code=exc.code,
                retry_after=exc.retry_after,
            ) from exc

    def _get(
        self, request: Request, validator: str | None, failures: Failures, attempts: Attempts
    ) -> Response:
        asked_at = self._clock()
        self._wait_for_turn(failures)
        self.requests += 1
        headers = {**request.headers, **({"If-None-Match": validator} if validator else {})}
        seconds = min(self._limits.answer, attempts.begin(asked_at, self._clock()))
        statuses: list[int] = []
        try:
            answer = self._exchange(request, headers, seconds, failures, statuses)
        except (RetryableError, SourceError) as exc:
            if statuses and statuses[0] != TOO_MANY and exc.code != "rate_limited":
                self._turns.answered()
            self._put_off(exc, failures.said or str(exc))
            raise
        finally:
            self.told(statuses[0] if statuses else None)
        self._turns.answered()
        return answer

    def _put_off(self, failure: RetryableError | SourceError, said: str) -> None:
        """Give no turn for as long as the source asks for, or before the next month."""
        if isinstance(failure, SourceError):
            if failure.code == BUDGET_SPENT:
                self._turns.spend(said)
        elif failure.retry_after:
            self._turns.defer(min(failure.retry_after, self._limits.longest_pause), said)

    def _exchange(
        self,
        request: Request,
        headers: dict[str, str],
        seconds: float,
        failures: Failures,
        statuses: list[int],
    ) -> Response:
        """Send the request, and read the answer, within the time; note the answer's status.

        Raises:
            RetryableError, SourceError: whatever went wrong, in words.
        """
        session = self._session

        def work() -> Response:
            with session.get(
                request.url,
                params=request.params,
                headers=headers,
                # A pause for as long as the whole answer may take ends with it, not before.
                timeout=(min(self._limits.connect, seconds), self._limits.read),
                stream=True,
                allow_redirects=False,
            ) as answer:
                statuses.append(answer.status_code)
                return self._take(answer, failures)

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
            # What requests raises for a bad header quotes the header.
            raise failure from (exc if isinstance(failure, RetryableError) else None)

    def _wait_for_turn(self, failures: Failures) -> None:
        """Return once a turn is taken; where it is further off than a run waits, raise.

        After each wait the turn is asked for anew: another process may have put it off meanwhile.
        """
        while True:
            self._sleep(0, failures)
            seconds = self._turns.take()
            if seconds <= 0:
                return
            if seconds > self._limits.longest_wait:
                raise failures.deferred(seconds, self._limits.longest_wait, self._turns.said)
            self._sleep(seconds, failures)

    def _take(self, answer: requests.Response, failures: Failures) -> Response:
        etag = answer.headers.get("ETag")
        if answer.status_code == requests.codes.not_modified:
            return Response(b"", etag, not_modified=True)
        if answer.is_redirect:
            raise failures.redirected(answer.headers["Location"])
        asked = seconds_to_wait(answer.headers)
        if answer.status_code != requests.codes.ok:
            said = read_error(answer)
            kind = answer.headers.get("Content-Type", "")
            raise failures.status(answer.status_code, said, kind, asked, self._limits)
        limit = self._limits.body_bytes
        if (answer.raw.length_remaining or 0) > limit:
            raise failures.too_large(limit)
        body = read_body(answer, limit + 1)
        if len(body) > limit:
            raise failures.too_large(limit)
        failures.check(body, answer.headers.get("Content-Type", ""), asked, self._limits)
        return Response(body, etag)

    def _sleep(self, seconds: float, failures: Failures) -> None:
        if seconds > 0:
            started = self._clock()
            self._wait(seconds)
            self.waited += self._clock() - started
        if self._stop.is_set():
            raise failures.stopped()

    def _pause_before_next(self, state: RetryCallState) -> float:
        asked = _failure(state).retry_after
        return asked or self._backoff(state)

    def _is_worth_another(self, exc: BaseException) -> bool:
        return (
            isinstance(exc, RetryableError)
            and exc.code != "stopped"
            and (exc.retry_after or 0) <= self._limits.longest_wait
        )

    def _tell(self, url: str, state: RetryCallState) -> None:
        self.retries += 1
        failure = _failure(state)
        log.warning(
            "a request failed and will be tried again",
            source=self._source,
            url=url,
            code=failure.code,
            error=str(failure),
            attempt=state.attempt_number,
            pause_seconds=round(state.upcoming_sleep, 1),
        )


def _failure(state: RetryCallState) -> RetryableError:
    """The failure that an attempt ended with; nothing else is tried again."""
    failure = state.outcome.exception() if state.outcome else None
    assert isinstance(failure, RetryableError)  # noqa: S101 - `retry` lets no other through
    return failure


class _StopInTime(stop_base):
    """Make no attempt that would begin after the time for all of them."""

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
    """Name the program, and its version where it is installed."""
    try:
        return f"kasparro-etl/{version('kasparro-etl')}"
    except PackageNotFoundError:
        return "kasparro-etl"
