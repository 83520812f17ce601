"""One GET against a real server on loopback that behaves, and misbehaves, as the providers do."""

import gzip
import json
import logging
import socket
import threading
import tracemalloc
from collections.abc import Iterator

import pytest
import structlog

from shared.errors import RetryableError, SourceError
from tests.fakes import upstream as says
from tests.fakes.turns import MemoryTurns
from tests.fakes.upstream import Answer, Upstream
from worker.http import DEFAULT_LIMITS, Http, Limits
from worker.sources.base import Request

FAST = 6_000_000
KEY = "s3cret-k3y"
BODY = b'[{"id":"amber"}]'


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(assets=3) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def http(clock: Clock, stop: threading.Event) -> Iterator[Http]:
    with Http("coingecko", MemoryTurns(FAST, clock), stop, clock=clock, wait=clock.wait) as made:
        clock.pauses.clear()
        yield made


@pytest.fixture
def markets(upstream: Upstream) -> Request:
    return Request(
        f"{upstream.coingecko_url}/coins/markets",
        {"vs_currency": "usd", "page": "1"},
        {"x-cg-demo-api-key": KEY},
    )


def pauses(clock: Clock) -> list[float]:
    """The pauses between attempts; turns of the pace are far shorter."""
    return [pause for pause in clock.pauses if pause > 60 / FAST]


def test_an_answer_comes_back_whole_with_its_etag(http, markets):
    response = http(markets)

    assert len(json.loads(response.body)) == 3
    assert response.etag
    assert response.etag.startswith('W/"')
    assert not response.not_modified
    assert (http.requests, http.retries) == (1, 0)


def test_a_request_names_the_program_and_asks_for_json(upstream, http, markets):
    http(markets)

    headers = upstream.asked[0].headers
    assert headers["user-agent"].startswith("kasparro-etl")
    assert headers["accept"] == "application/json"
    assert headers["x-cg-demo-api-key"] == KEY
    assert upstream.asked[0].params == {"vs_currency": "usd", "page": "1"}


def test_a_login_in_netrc_never_takes_the_place_of_the_key(upstream, http, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    http(Request(f"{upstream.coinpaprika_url}/tickers", {}, {"Authorization": KEY}))
    http(Request(f"{upstream.coinpaprika_url}/tickers"))

    assert upstream.asked[0].headers["authorization"] == KEY
    assert "authorization" not in upstream.asked[1].headers


def test_a_known_validator_is_offered_and_304_has_no_body(upstream, http, markets):
    first = http(markets)
    second = http(markets, first.etag)

    assert upstream.asked[1].headers["if-none-match"] == first.etag
    assert second.not_modified
    assert second.body == b""


def test_a_compressed_answer_is_unpacked(upstream, http, markets):
    upstream.answers(Answer(body=BODY, gzip=True))

    assert http(markets).body == BODY


@pytest.mark.parametrize("code", [500, 502, 503, 504, 408])
def test_what_may_heal_is_tried_again(code, upstream, http, markets, clock):
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
def test_a_retry_after_that_makes_no_sense_is_no_pause(nonsense, upstream, http, markets, clock):
    upstream.answers(says.status(429, Retry_After=nonsense))

    assert http(markets).body

    assert all(pause <= DEFAULT_LIMITS.backoff for pause in pauses(clock))


def test_a_pause_beyond_what_a_run_waits_ends_it_and_says_until_when(
    upstream, http, markets, clock
):
    upstream.always(says.rate_limited(seconds=3600))

    with pytest.raises(RetryableError, match="a run waits 180 s at most: try again after 20") as no:
        http(markets)

    assert no.value.code == "rate_limited"
    assert no.value.retry_after == 3600
    assert len(upstream.asked) == 1
    assert pauses(clock) == []


def test_an_absurd_pause_is_no_overflow(upstream, http, markets):
    upstream.always(says.status(429, Retry_After="9" * 400))

    with pytest.raises(RetryableError, match="one request probes after"):
        http(markets)


def test_a_rate_limit_inside_a_200_is_one(upstream, http, markets):
    upstream.answers(says.rate_limited_with_200())

    assert http(markets).body.startswith(b"[")

    assert http.retries == 1


def test_what_does_not_heal_within_the_attempts_is_raised_with_its_code(upstream, http, markets):
    upstream.always(says.status(503, {"error": "maintenance"}))

    with pytest.raises(RetryableError, match=r"HTTP 503: 'maintenance' \(5 attempts\)") as no:
        http(markets)

    assert no.value.code == "http_503"
    assert (http.requests, http.retries) == (5, 4)


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, "http_400", "COINGECKO_BASE_URL"),
        (401, "unauthorized", "check COINGECKO_API_KEY"),
        (402, "payment_required", "plan does not cover this call: check COINGECKO_API_KEY"),
        (403, "forbidden", "check COINGECKO_API_KEY"),
        (404, "not_found", "check COINGECKO_BASE_URL"),
        (422, "http_422", "COINGECKO_BASE_URL"),
        (204, "http_204", "COINGECKO_BASE_URL"),
    ],
)
def test_what_cannot_heal_is_asked_once(status, code, advice, upstream, http, markets):
    upstream.always(says.status(status, {"error": f"no such luck, {KEY}"}))

    with pytest.raises(SourceError) as no:
        http(markets)

    assert no.value.code == code
    message = str(no.value)
    url = f"{upstream.coingecko_url}/coins/markets?vs_currency=usd&page=1"
    assert message.startswith(f"GET {url}: HTTP {status}")
    assert advice in message
    assert KEY not in message
    assert len(upstream.asked) == 1


@pytest.mark.parametrize(
    "told",
    [
        {"error": "key is missing"},
        {"error": {"code": 401, "message": "key is missing"}},
        {"status": {"error_code": 10002, "error_message": "key is missing"}},
        {"status": 401, "error": "key is missing"},
        {"code": 401, "message": "key is missing"},
    ],
)
def test_the_providers_own_words_are_in_the_message(told, upstream, http, markets):
    upstream.always(says.status(401, told))

    with pytest.raises(SourceError, match=r"HTTP 401: 'key is missing'; check"):
        http(markets)


def test_an_error_whose_body_is_cut_off_is_judged_by_its_status(upstream, http, markets):
    upstream.always(Answer(status=401, body=b'{"error":"key', declared_length=900))

    with pytest.raises(SourceError) as no:
        http(markets)

    assert no.value.code == "unauthorized"


def test_a_page_for_people_with_status_200_is_no_answer(upstream, http, markets):
    upstream.always(says.html())

    with pytest.raises(
        SourceError, match=r"'Just a moment...'; expected JSON, got 'text/html'"
    ) as no:
        http(markets)

    assert no.value.code == "not_json"
    assert len(upstream.asked) == 1


@pytest.mark.parametrize(
    "kind", [None, "application/json", "text/json; charset=utf-8", "application/problem+json"]
)
def test_json_under_any_of_its_names_is_taken(kind, upstream, http, markets):
    upstream.always(says.body(BODY, kind))

    assert http(markets).body == BODY


@pytest.mark.parametrize(
    "told", [{"error": "id not found"}, {"status": {"error_code": 10005, "error_message": "pro"}}]
)
def test_an_error_inside_a_200_fails_the_run(told, upstream, http, markets):
    upstream.always(says.status(200, told))

    with pytest.raises(SourceError, match="HTTP 200, with an error in it: ") as no:
        http(markets)

    assert no.value.code == "error_answer"


@pytest.mark.parametrize(
    "told",
    [
        {"closes": [], "next": "2"},
        {"status": {"error_code": 0, "error_message": None}, "data": []},
        {"message": "welcome", "error": None},
        {"error": ""},
    ],
)
def test_an_object_without_an_error_is_an_answer(told, upstream, http, markets):
    upstream.always(says.status(200, told))

    assert json.loads(http(markets).body) == told


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
        " and COINGECKO_BASE_URL (5 attempts)"
    )


def test_a_silent_source_times_out(upstream, stop, clock, markets):
    upstream.always(says.held(threading.Event()))
    limits = Limits(read=0.1, attempts=2)

    with (
        Http(
            "coingecko", MemoryTurns(FAST, clock), stop, limits, clock=clock, wait=clock.wait
        ) as http,
        pytest.raises(RetryableError, match=r"timed out \(2 attempts\)") as no,
    ):
        http(markets)

    assert no.value.code == "timeout"


def test_a_trickle_has_an_end_although_no_read_ever_times_out(upstream, stop, markets):
    upstream.always(says.trickle())
    limits = Limits(answer=0.2, attempts=1)

    with (
        Http("coingecko", MemoryTurns(FAST), stop, limits) as http,
        pytest.raises(RetryableError, match=r"not complete after 0.2 s") as no,
    ):
        http(markets)

    assert no.value.code == "timeout"


def test_a_body_declared_too_large_is_not_even_begun(upstream, http, markets):
    upstream.always(says.huge(mebibytes=200))

    with pytest.raises(SourceError, match="larger than 64 MiB") as no:
        http(markets)

    assert no.value.code == "too_large"
    assert len(upstream.asked) == 1


def test_a_gzip_bomb_is_stopped_at_the_limit_of_what_it_unpacks_to(upstream, stop, clock, markets):
    upstream.always(says.gzip_bomb(size=100_000_000))
    limits = Limits(body_bytes=2**20)

    tracemalloc.start()
    try:
        with (
            Http(
                "coingecko", MemoryTurns(FAST, clock), stop, limits, clock=clock, wait=clock.wait
            ) as http,
            pytest.raises(SourceError) as no,
        ):
            http(markets)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert no.value.code == "too_large"
    assert "larger than 1 MiB" in str(no.value)
    assert peak < 2**23


def test_a_body_of_exactly_the_limit_is_taken(upstream, stop, clock, markets):
    upstream.always(says.body(BODY))
    limits = Limits(body_bytes=len(BODY))

    with Http(
        "coingecko", MemoryTurns(FAST, clock), stop, limits, clock=clock, wait=clock.wait
    ) as http:
        assert http(markets).body == BODY


def test_a_redirect_is_not_followed_and_the_key_stays_here(upstream, http, markets):
    with Upstream(assets=1) as elsewhere:
        target = f"{elsewhere.base_url.replace('127.0.0.1', 'localhost')}/api/v3/coins/markets"
        upstream.always(says.redirect(target))

        with pytest.raises(
            SourceError, match=r"to host 'localhost'.* set COINGECKO_BASE_URL"
        ) as no:
            http(markets)

        assert no.value.code == "redirected"
        assert not elsewhere.asked


@pytest.mark.parametrize("location", ["/somewhere/else", "http://[bad", ""])
def test_an_odd_redirect_is_still_one(location, upstream, http, markets):
    upstream.always(says.redirect(location))

    with pytest.raises(SourceError) as no:
        http(markets)

    assert no.value.code == "redirected"


def test_a_connection_that_the_source_closed_meanwhile_is_opened_anew(upstream, http, markets):
    upstream.answers(Answer(body=BODY, headers={"Connection": "close"}))
    http(markets)

    assert len(json.loads(http(markets).body)) == 3


def test_a_body_longer_than_declared_does_not_spoil_the_next_answer(upstream, http, markets):
    upstream.answers(Answer(body=BODY + b"HTTP/1.1 500 no", declared_length=len(BODY)))

    assert http(markets).body == BODY
    assert len(json.loads(http(markets).body)) == 3


@pytest.mark.parametrize("key", ["line\nbreak", "typographic\u2019quote", " space"])
def test_a_key_that_no_header_can_carry_is_named_but_not_shown(key, upstream, http):
    request = Request(f"{upstream.coingecko_url}/coins/markets", {}, {"x-cg-demo-api-key": key})

    with pytest.raises(SourceError, match="cannot carry COINGECKO_API_KEY") as no:
        http(request)

    assert no.value.code == "misconfigured"
    assert key not in str(no.value)
    assert no.value.__cause__ is None


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "127.0.0.1/x", "http://", "http://[bad"])
def test_a_url_that_cannot_be_asked_names_the_setting(url, http):
    with pytest.raises(SourceError, match="COINGECKO_BASE_URL") as no:
        http(Request(url))

    assert no.value.code == "misconfigured"


def test_a_url_is_shown_without_a_login_or_a_key(upstream, http):
    url = upstream.coingecko_url.replace("//", "//somebody:passw0rd@")
    request = Request(f"{url}/nothing", {"page": "2", "x_cg_demo_api_key": KEY})

    with pytest.raises(SourceError) as no:
        http(request)

    assert str(no.value).startswith(
        f"GET {upstream.coingecko_url}/nothing?page=2&x_cg_demo_api_key=***: HTTP 404"
    )


def test_requests_keep_an_even_distance(stop, clock, markets):
    with Http("coingecko", MemoryTurns(5, clock), stop, clock=clock, wait=clock.wait) as http:
        http(markets)
        http(markets)
        clock.now += 7
        http(markets)
        clock.now += 600
        http(markets)
        http(markets)

    assert clock.pauses == [12, 5, 12]


def test_a_retry_takes_its_turn_like_any_request(upstream, stop, clock, markets):
    upstream.answers(says.status(500))

    with Http("coingecko", MemoryTurns(5, clock), stop, clock=clock, wait=clock.wait) as http:
        http(markets)

    assert sum(clock.pauses) == pytest.approx(12)


def test_a_pause_that_the_source_asked_for_is_passed_on_to_its_turns(
    upstream, stop, clock, markets
):
    upstream.answers(says.rate_limited(seconds=119)).then(says.status(503, Retry_After="7"))
    turns = MemoryTurns(FAST, clock)

    with Http("coingecko", turns, stop, clock=clock, wait=clock.wait) as http:
        http(markets)

    assert turns.deferred == [119, 7]


def test_a_turn_that_is_further_off_than_a_run_waits_is_not_waited_for(
    upstream, stop, clock, markets
):
    turns = MemoryTurns(FAST, clock)
    turns.defer(181)

    with (
        Http("coingecko", turns, stop, clock=clock, wait=clock.wait) as http,
        pytest.raises(RetryableError, match=r"not asked.* 181 s more.* try again after 2") as no,
    ):
        http(markets)

    assert no.value.code == "rate_limited"
    assert not upstream.asked
    assert clock.pauses == []
    assert http.requests == 0


def test_a_turn_that_was_put_off_during_the_wait_is_waited_for_again(stop, clock, markets):
    turns = MemoryTurns(5, clock)

    def wait(seconds: float) -> None:
        if not clock.pauses:
            turns.defer(100)  # another process was told to wait
        clock.wait(seconds)

    with Http("coingecko", turns, stop, clock=clock, wait=wait) as http:
        http(markets)
        http(markets)

    assert clock.pauses == [12, 88]


def test_a_stop_ends_the_wait_for_a_turn(upstream, stop, markets):
    with Http("coingecko", MemoryTurns(1), stop) as http:
        http(markets)
        threading.Timer(0.05, stop.set).start()

        with pytest.raises(RetryableError, match="stopped before it was answered") as no:
            http(markets)

    assert no.value.code == "stopped"
    assert len(upstream.asked) == 1


def test_once_told_to_stop_no_turn_is_taken_for_what_is_not_sent(upstream, stop, clock, markets):
    turns = MemoryTurns(5, clock)
    stop.set()

    with (
        Http("coingecko", turns, stop, clock=clock, wait=clock.wait) as http,
        pytest.raises(RetryableError) as no,
    ):
        http(markets)

    assert no.value.code == "stopped"
    assert not upstream.asked
    assert turns.take() == 0


def test_a_stop_ends_the_wait_before_the_next_attempt(upstream, stop, markets):
    upstream.always(says.rate_limited(seconds=100))

    with Http("coingecko", MemoryTurns(FAST), stop) as http:
        threading.Timer(0.05, stop.set).start()
        with pytest.raises(RetryableError) as no:
            http(markets)

    assert no.value.code == "stopped"


def test_a_stop_ends_the_reading_of_a_slow_body(upstream, stop, markets):
    upstream.always(says.trickle())

    with Http("coingecko", MemoryTurns(FAST), stop) as http:
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
    assert line["event"] == "a request failed and will be tried again"
    assert (line["code"], line["attempt"], line["pause_seconds"]) == ("rate_limited", 1, 30)
    assert "You've exceeded the Rate Limit" in line["error"]
    assert KEY not in str(line)


def test_not_even_the_debug_log_of_the_libraries_shows_the_key(http, markets, caplog):
    with caplog.at_level(logging.DEBUG):
        http(markets)

    assert "GET /api/v3/coins/markets" in caplog.text
    assert KEY not in caplog.text
