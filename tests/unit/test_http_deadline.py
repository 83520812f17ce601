"""One deadline over connecting, headers and body, whatever the peer does; and an end at a stop."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.errors import RetryableError
from tests.fakes import answers as says
from tests.fakes.answers import Answer
from tests.fakes.rate_limiter import MemoryRateLimiter
from tests.fakes.upstream import Upstream
from worker.fetch.client import Http, Limits
from worker.sources.base import Request
from worker.stopping import StopEvent

FAST = 6_000_000
BODY = b'[{"id":"amber"}]'


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(assets=3) as running:
        yield running


@pytest.fixture
def markets(upstream: Upstream) -> Request:
    return Request(f"{upstream.coingecko_url}/coins/markets", {"vs_currency": "usd", "page": "1"})


@pytest.fixture
def stop() -> StopEvent:
    return StopEvent()


@contextmanager
def silent_server() -> Iterator[str]:
    """Take connections, and never send a byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"//127.0.0.1:{server.getsockname()[1]}"


def http(stop: StopEvent, **limits: float) -> Http:
    return Http("coingecko", MemoryRateLimiter(FAST), stop, Limits(backoff=0.001, **limits))


@pytest.mark.parametrize(
    "answer",
    [says.slow_headers(), says.trickle(), Answer(trickles=True, lengthless=True), says.stalled()],
    ids=["headers", "body", "body to the end of the connection", "stalled body"],
)
def test_an_answer_that_never_pauses_long_enough_for_a_timeout_ends_at_the_deadline(
    answer, upstream, stop, markets
):
    upstream.always(answer)

    with (
        http(stop, answer=0.3, attempts=1) as asks,
        pytest.raises(RetryableError, match=r"not complete after 0\.3 s") as no,
    ):
        asks(markets)

    assert no.value.code == "timeout"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_peer_that_connects_and_says_nothing_ends_at_the_deadline(scheme, stop):
    with (
        silent_server() as address,
        http(stop, answer=0.3, attempts=1, read=30, connect=30) as asks,
        pytest.raises(RetryableError) as no,
    ):
        asks(Request(f"{scheme}:{address}/coins"))

    assert no.value.code in {"timeout", "unreachable"}


@pytest.mark.parametrize("answer", [says.slow_headers(), says.trickle(), says.stalled()])
def test_a_stop_ends_an_exchange_in_any_state(answer, upstream, stop, markets):
    upstream.always(answer)

    with http(stop) as asks:
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(RetryableError) as no:
            asks(markets)

    assert no.value.code == "stopped"
    assert len(upstream.asked) == 1


def test_a_stop_ends_a_tls_handshake(stop):
    with silent_server() as address, http(stop, connect=30) as asks:
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(RetryableError) as no:
            asks(Request(f"https:{address}/coins"))

    assert no.value.code == "stopped"


def test_after_a_deadline_the_next_attempt_uses_a_connection_of_its_own(upstream, stop, markets):
    upstream.answers(says.slow_headers()).then(Answer(body=BODY))

    with http(stop, answer=0.5) as asks:
        assert asks(markets).body == BODY

    assert asks.retries == 1


def test_a_kept_connection_ends_at_the_deadline_too(upstream, stop, markets):
    upstream.answers(Answer(body=BODY), says.trickle())

    with http(stop, answer=0.5, attempts=1) as asks:
        asks(markets)
        with pytest.raises(RetryableError) as no:
            asks(markets)

    assert no.value.code == "timeout"


def test_all_attempts_of_one_request_share_one_time(upstream, stop, markets):
    upstream.always(says.trickle())

    with (
        http(stop, answer=0.3, request=0.7, attempts=100) as asks,
        pytest.raises(RetryableError, match=r"\(the last of [2-4] attempts\)"),
    ):
        asks(markets)

    assert 2 <= len(upstream.asked) <= 4


def test_a_pause_beyond_the_time_of_all_attempts_is_not_waited_for(upstream, stop, markets):
    upstream.always(says.rate_limited(seconds=170))
    pauses: list[float] = []
    limits = Limits(request=160)

    with (
        Http("coingecko", MemoryRateLimiter(FAST), stop, limits, wait=pauses.append) as asks,
        pytest.raises(RetryableError) as no,
    ):
        asks(markets)

    assert no.value.code == "rate_limited"
    assert 170 not in pauses
    assert len(upstream.asked) == 1


def test_waiting_for_the_rate_limiter_uses_no_time_of_the_attempts(upstream, stop, markets):
    upstream.answers(says.status(500), says.status(500), says.status(500))
    now = [1000.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    rate_limiter = MemoryRateLimiter(0.5, clock=lambda: now[0])  # two minutes between turns
    with Http("coingecko", rate_limiter, stop, clock=lambda: now[0], wait=wait) as asks:
        assert asks(markets).body

    assert asks.requests == 4
    assert asks.waited > 300
