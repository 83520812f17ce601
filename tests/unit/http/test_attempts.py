"""What an HTTP request tries again, how long it waits before, and what ends it."""

import gzip
import json
import socket
import threading

import pytest
import structlog

from shared.errors import RetryableError
from tests.fakes import answers as says
from tests.fakes.answers import Answer
from tests.fakes.http_client import FAST, KEY, pauses
from tests.fakes.rate_limiter import MemoryRateLimiter
from worker.fetch.client import DEFAULT_LIMITS, Http, Limits
from worker.sources.base import Request

BODY = b'[{"id":"amber"}]'


@pytest.mark.parametrize("code", [500, 502, 503, 504, 408])
def test_temporary_errors_are_retried(code, upstream, http, markets, clock):
    upstream.answers(says.status(code)).then(says.status(code))

    assert http(markets).body

    assert (http.requests, http.retries) == (3, 2)
    assert len(upstream.asked) == 3
    assert all(
        pause <= DEFAULT_LIMITS.backoff * 2**n for n, pause in enumerate(pauses(clock), start=0)
    )


@pytest.mark.parametrize("as_date", [False, True])
def test_a_rate_limit_is_waited_out_to_the_second(as_date, upstream, http, markets, clock):
    upstream.answers(says.rate_limited(seconds=119, as_date=as_date))

    assert http(markets).body

    assert pauses(clock) == [119]


def test_a_503_with_retry_after_is_waited_out_too(upstream, http, markets, clock):
    upstream.answers(says.status(503, Retry_After="7"))

    assert http(markets).body

    assert pauses(clock) == [7]


@pytest.mark.parametrize("nonsense", ["soon", "-5", "1.5", "", "Sun, 99 Nov 2026 99:00:00 GMT"])
def test_an_invalid_retry_after_is_ignored(nonsense, upstream, http, markets, clock):
    upstream.answers(says.status(429, Retry_After=nonsense))

    assert http(markets).body

    assert all(pause <= DEFAULT_LIMITS.backoff for pause in pauses(clock))


def test_a_pause_beyond_what_a_run_waits_ends_it_and_says_until_when(
    upstream, http, markets, clock
):
    upstream.always(says.rate_limited(seconds=3600))

    with pytest.raises(RetryableError, match="a run waits 180 s at most; try again after 20") as no:
        http(markets)

    assert no.value.code == "rate_limited"
    assert no.value.retry_after == 3600
    assert len(upstream.asked) == 1
    assert pauses(clock) == []


def test_a_pause_of_centuries_does_not_overflow(upstream, http, markets):
    upstream.always(says.status(429, Retry_After="9" * 400))

    with pytest.raises(RetryableError, match="one test request is sent after"):
        http(markets)


def test_a_rate_limit_error_with_status_200_is_recognised(upstream, http, markets):
    upstream.answers(says.rate_limited_with_200())

    assert http(markets).body.startswith(b"[")

    assert http.retries == 1


def test_an_error_in_all_attempts_is_raised_with_its_code(upstream, http, markets):
    upstream.always(says.status(503, {"error": "maintenance"}))

    with pytest.raises(
        RetryableError, match=r"HTTP 503: 'maintenance' \(the last of 5 attempts\)"
    ) as no:
        http(markets)

    assert no.value.code == "http_503"
    assert (http.requests, http.retries) == (5, 4)


def test_a_body_that_ends_early_is_asked_for_again(upstream, http, markets):
    upstream.answers(says.truncated(at=50)).then(says.truncated(at=0))

    assert len(json.loads(http(markets).body)) == 3

    assert http.retries == 2


@pytest.mark.parametrize(
    "answer",
    [
        says.truncated(at=50),
        says.short_by(7),
        says.body(b""),
        says.body(b'[{"id":"amber"},{"id'),
        Answer(body=gzip.compress(BODY)[:-12], headers={"Content-Encoding": "gzip"}),
        Answer(body=b"no gzip at all", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["hangs up", "short length", "empty", "cut JSON", "cut gzip", "not gzip"],
)
def test_a_body_that_is_never_whole_is_truncated(answer, upstream, http, markets):
    upstream.always(answer)

    with pytest.raises(RetryableError) as no:
        http(markets)

    assert no.value.code == "truncated"
    assert http.requests == 5


def test_a_connection_that_is_reset_is_tried_again(upstream, http, markets):
    upstream.answers(says.reset())

    assert http(markets).body

    assert http.retries == 1


def test_a_source_that_resets_every_connection_is_lost(upstream, http, markets):
    upstream.always(says.reset())

    with pytest.raises(RetryableError, match="the connection was lost") as no:
        http(markets)

    assert no.value.code == "connection_lost"


def test_a_host_that_does_not_answer_is_unreachable(http):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/coins/markets"

        with pytest.raises(RetryableError) as no:
            http(Request(url))

    assert no.value.code == "unreachable"
    assert str(no.value) == (
        f"GET {url}: host '127.0.0.1' cannot be reached (Connection refused); check the network"
        " and COINGECKO_BASE_URL (the last of 5 attempts)"
    )


def test_a_silent_source_times_out(upstream, stop, clock, markets):
    upstream.always(says.held(threading.Event()))
    limits = Limits(read=0.1, attempts=2)

    with (
        Http(
            "coingecko", MemoryRateLimiter(FAST, clock), stop, limits, clock=clock, wait=clock.wait
        ) as http,
        pytest.raises(RetryableError, match=r"timed out \(the last of 2 attempts\)") as no,
    ):
        http(markets)

    assert no.value.code == "timeout"


def test_a_trickle_has_an_end_although_no_read_ever_times_out(upstream, stop, markets):
    upstream.always(says.trickle())
    limits = Limits(answer=0.2, attempts=1)

    with (
        Http("coingecko", MemoryRateLimiter(FAST), stop, limits) as http,
        pytest.raises(RetryableError, match=r"not complete after 0.2 s") as no,
    ):
        http(markets)

    assert no.value.code == "timeout"


def test_a_stop_ends_the_wait_before_the_next_attempt(upstream, stop, markets):
    upstream.always(says.rate_limited(seconds=100))

    with Http("coingecko", MemoryRateLimiter(FAST), stop) as http:
        threading.Timer(0.05, stop.set).start()
        with pytest.raises(RetryableError) as no:
            http(markets)

    assert no.value.code == "stopped"


def test_a_stop_ends_the_reading_of_a_slow_body(upstream, stop, markets):
    upstream.always(says.trickle())

    with Http("coingecko", MemoryRateLimiter(FAST), stop) as http:
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(RetryableError) as no:
            http(markets)

    assert no.value.code == "stopped"


def test_a_failed_attempt_is_logged_with_its_pause_and_without_the_key(upstream, http, markets):
    upstream.answers(says.rate_limited(seconds=30))

    with structlog.testing.capture_logs() as lines:
        http(markets)

    (line,) = lines
    assert line["log_level"] == "warning"
    assert line["event"] == "request failed, retry scheduled"
    assert (line["code"], line["attempt"], line["pause_seconds"]) == ("rate_limited", 1, 30)
    assert "You've exceeded the Rate Limit" in line["error"]
    assert KEY not in str(line)
