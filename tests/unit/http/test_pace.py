"""The interval that HTTP requests keep to the ones before them."""

import threading

import pytest

from shared.errors import RetryableError, SourceError
from tests.fakes import answers as says
from tests.fakes.answers import Answer
from tests.fakes.http_client import FAST
from tests.fakes.rate_limiter import MemoryRateLimiter
from worker.fetch.client import Http
from worker.sources.base import Request


def test_requests_keep_an_even_distance(stop, clock, markets):
    with Http("coingecko", MemoryRateLimiter(5, clock), stop, clock=clock, wait=clock.wait) as http:
        http(markets)
        http(markets)
        clock.now += 7
        http(markets)
        clock.now += 600
        http(markets)
        http(markets)

    assert clock.pauses == [12, 5, 12]


def test_a_retry_waits_for_the_rate_limiter_too(upstream, stop, clock, markets):
    upstream.answers(says.status(500))

    with Http("coingecko", MemoryRateLimiter(5, clock), stop, clock=clock, wait=clock.wait) as http:
        http(markets)

    assert sum(clock.pauses) == pytest.approx(12)


def test_a_pause_that_the_source_asked_for_is_set_in_the_rate_limiter(
    upstream, stop, clock, markets
):
    upstream.answers(says.rate_limited(seconds=119)).then(says.status(503, Retry_After="7"))
    rate_limiter = MemoryRateLimiter(FAST, clock)

    with Http("coingecko", rate_limiter, stop, clock=clock, wait=clock.wait) as http:
        http(markets)

    assert rate_limiter.pauses == [119, 7]


def test_a_pause_longer_than_a_run_waits_ends_the_request(upstream, stop, clock, markets):
    rate_limiter = MemoryRateLimiter(FAST, clock)
    rate_limiter.pause(181)

    with (
        Http("coingecko", rate_limiter, stop, clock=clock, wait=clock.wait) as http,
        pytest.raises(RetryableError, match=r"not sent.* 181 s more.* try again after 2") as no,
    ):
        http(markets)

    assert no.value.code == "rate_limited"
    assert not upstream.asked
    assert clock.pauses == []
    assert http.requests == 0


def test_a_pause_set_during_the_wait_is_waited_for(stop, clock, markets):
    rate_limiter = MemoryRateLimiter(5, clock)

    def wait(seconds: float) -> None:
        if not clock.pauses:
            rate_limiter.pause(100)  # another process was told to wait
        clock.wait(seconds)

    with Http("coingecko", rate_limiter, stop, clock=clock, wait=wait) as http:
        http(markets)
        http(markets)

    assert clock.pauses == [12, 88]


def test_a_stop_ends_the_wait_for_the_rate_limiter(upstream, stop, markets):
    with Http("coingecko", MemoryRateLimiter(1), stop) as http:
        http(markets)
        threading.Timer(0.05, stop.set).start()

        with pytest.raises(RetryableError, match="stopped before the response") as no:
            http(markets)

    assert no.value.code == "stopped"
    assert len(upstream.asked) == 1


def test_after_a_stop_no_request_is_counted(upstream, stop, clock, markets):
    rate_limiter = MemoryRateLimiter(5, clock)
    stop.set()

    with (
        Http("coingecko", rate_limiter, stop, clock=clock, wait=clock.wait) as http,
        pytest.raises(RetryableError) as no,
    ):
        http(markets)

    assert no.value.code == "stopped"
    assert not upstream.asked
    assert rate_limiter.acquire() == 0


def code_of(http: Http, request: Request) -> str | None:
    """Say with which code a request fails, if it does."""
    try:
        http(request)
    except (RetryableError, SourceError) as exc:
        return exc.code
    return None


@pytest.mark.parametrize(
    ("answers", "pauses"),
    [
        ([says.rate_limited()] * 5, [60]),
        ([says.status(503)] * 4 + [says.rate_limited()], [60]),
        ([says.rate_limited_with_200()] * 5, [60]),
        ([says.rate_limited()] * 4 + [says.status(503)], []),
        ([says.rate_limited()] * 4 + [says.reset()], []),
        ([says.rate_limited(seconds=7)] * 5, []),
    ],
    ids=["all 429", "then 429", "429 in 200", "then 503", "then reset", "says how long"],
)
def test_a_429_to_the_last_attempt_without_a_time_leaves_a_pause(
    answers, pauses, upstream, stop, clock, markets
):
    upstream.answers(*answers)
    rate_limiter = MemoryRateLimiter(FAST, clock)

    with Http("coingecko", rate_limiter, stop, clock=clock, wait=clock.wait) as http:
        assert code_of(http, markets)

    assert rate_limiter.backed_off == pauses


@pytest.mark.parametrize(
    ("answer", "pauses"),
    [
        (says.real(), [60]),
        (Answer(status=304, body=b""), [60]),
        (says.status(401), [60]),
        (says.status(402), [60]),
        (says.status(404), [60]),
        (says.html(), [60]),
        (says.redirect("http://127.0.0.1:9/"), [60]),
        (says.status(503, Retry_After="3600"), [60]),
        (says.reset(), [60, 120]),
        (says.rate_limited(), [60, 120, 240]),
        (says.rate_limited_with_200(), [60, 120, 240]),
    ],
    ids=[*("200", "304", "401", "402", "404", "html", "302", "503"), "reset", "429", "429 in 200"],
)
def test_any_response_but_429_resets_the_backoff(answer, pauses, upstream, stop, clock, markets):
    rate_limiter = MemoryRateLimiter(FAST, clock)
    with Http("coingecko", rate_limiter, stop, clock=clock, wait=clock.wait) as http:
        for said in (says.rate_limited(), answer, says.rate_limited()):
            upstream.always(said)
            code_of(http, markets)
            clock.now += 3600

    assert rate_limiter.backed_off == pauses
