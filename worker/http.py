"""One GET: its timeouts, limits and pace, and for every failure what to do next."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Protocol, Self

import requests
import structlog
import urllib3
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from shared.errors import RetryableError
from worker.http_failures import Failures, seconds_to_wait
from worker.sources.base import Request, Response

log = structlog.get_logger(__name__)

CHUNK = 64 * 1024
ERROR_BYTES = 64 * 1024
"""An error is read this far: enough for what the provider has to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may take (in seconds and bytes), and when to stop trying.

    `body_bytes` counts what an answer unpacks to. The pause before attempt n+1 is a random part of
    `backoff * 2**n`, at most `longest_backoff`; or what the source asked for with `Retry-After`,
    where that is no more than `longest_wait`. A longer one ends the run.
    """

    connect: float = 5
    read: float = 30
    answer: float = 120
    body_bytes: int = 64 * 1024 * 1024
    attempts: int = 5
    backoff: float = 1
    longest_backoff: float = 60
    longest_wait: float = 180


DEFAULT_LIMITS = Limits()


class Turns(Protocol):
    """When a source may be asked, by its budget; `worker.budget.Budget` keeps one."""

    def take(self) -> float:
        """Take a turn and return 0, or take none and return the seconds until there may be one."""

    def defer(self, seconds: float) -> None:
        """Give no turn for so long: the source asked for that."""


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
        self._session = _Session()
        self._session.headers["User-Agent"] = user_agent()
        self._session.headers["Accept"] = "application/json"
        # Having an `auth` of its own keeps the session from adding one out of ~/.netrc.
        self._session.auth = _no_auth

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
        retrying = Retrying(
            retry=retry_if_exception(self._is_worth_another),
            stop=stop_after_attempt(self._limits.attempts),
            wait=self._pause_before_next,
            before_sleep=lambda state: self._tell(failures.url, state),
            sleep=lambda seconds: self._sleep(seconds, failures),
            reraise=True,
        )
        try:
            return retrying(self._get, request, validator, failures)
        except RetryableError as exc:
            attempts = retrying.statistics.get("attempt_number", 1)
            if attempts == 1 or exc.code == "stopped":
                raise
            raise RetryableError(
                f"{exc} ({attempts} attempts){failures.advice(exc)}",
                code=exc.code,
                retry_after=exc.retry_after,
            ) from exc

    def _get(self, request: Request, validator: str | None, failures: Failures) -> Response:
        self._wait_for_turn(failures)
        self.requests += 1
        headers = {**request.headers, **({"If-None-Match": validator} if validator else {})}
        deadline = self._clock() + self._limits.answer
        status = None
        try:
            with self._session.get(
                request.url,
                params=request.params,
                headers=headers,
                timeout=(self._limits.connect, self._limits.read),
                stream=True,
                allow_redirects=False,
            ) as answer:
                status = answer.status_code
                return self._take(answer, deadline, failures)
        except RetryableError as exc:
            if exc.retry_after:
                self._turns.defer(exc.retry_after)
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as exc:
            failure = failures.raised(exc)
            # What requests raises for a bad header quotes the header.
            raise failure from (exc if isinstance(failure, RetryableError) else None)
        finally:
            self.told(status)

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
                raise failures.deferred(seconds, self._limits.longest_wait)
            self._sleep(seconds, failures)

    def _take(self, answer: requests.Response, deadline: float, failures: Failures) -> Response:
        etag = answer.headers.get("ETag")
        if answer.status_code == requests.codes.not_modified:
            return Response(b"", etag, not_modified=True)
        if answer.is_redirect:
            raise failures.redirected(answer.headers["Location"])
        asked = seconds_to_wait(answer.headers)
        if answer.status_code != requests.codes.ok:
            said = self._read_error(answer, deadline, failures)
            raise failures.status(answer.status_code, said, asked, self._limits.longest_wait)
        limit = self._limits.body_bytes
        if (answer.raw.length_remaining or 0) > limit:
            raise failures.too_large(limit)
        body = self._read(answer, limit + 1, deadline, failures)
        if len(body) > limit:
            raise failures.too_large(limit)
        failures.check(
            body, answer.headers.get("Content-Type", ""), asked, self._limits.longest_wait
        )
        return Response(body, etag)

    def _read(
        self, answer: requests.Response, limit: int, deadline: float, failures: Failures
    ) -> bytes:
        """Read up to `limit` unpacked bytes, a packet at a time, so that a trickle has an end."""
        body = bytearray()
        while len(body) < limit:
            chunk = answer.raw.read1(min(CHUNK, limit - len(body)), decode_content=True)
            if not chunk:
                break
            body += chunk
            if self._stop.is_set():
                raise failures.stopped()
            if self._clock() > deadline:
                raise failures.too_slow(self._limits.answer)
        return bytes(body)

    def _read_error(self, answer: requests.Response, deadline: float, failures: Failures) -> bytes:
        """Read what an error says, where that can be read: its status tells what to do."""
        try:
            return self._read(answer, ERROR_BYTES, deadline, failures)
        except urllib3.exceptions.HTTPError:
            return b""
        except RetryableError as exc:
            if exc.code == "stopped":
                raise
            return b""

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


class _Session(requests.Session):
    """A session without redirects: `requests` reads even those whole that it is not to follow."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None


def _no_auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


def user_agent() -> str:
    """Name the program, and its version where it is installed."""
    try:
        return f"kasparro-etl/{version('kasparro-etl')}"
    except PackageNotFoundError:
        return "kasparro-etl"
