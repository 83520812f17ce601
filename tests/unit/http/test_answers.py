"""One GET against a real server on loopback: what is sent, and which answers are taken."""

import json
import logging
import tracemalloc

import pytest

from shared.errors import SourceError
from tests.fakes import answers as says
from tests.fakes.answers import Answer
from tests.fakes.http_client import FAST, KEY
from tests.fakes.rate_limiter import MemoryRateLimiter
from tests.fakes.upstream import Upstream
from worker.fetch.client import Http, Limits
from worker.sources.base import Request

BODY = b'[{"id":"amber"}]'


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
def test_permanent_errors_are_not_retried(status, code, advice, upstream, http, markets):
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


def test_an_html_page_with_status_200_is_refused(upstream, http, markets):
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

    with pytest.raises(SourceError, match="HTTP 200 with an error: ") as no:
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
                "coingecko",
                MemoryRateLimiter(FAST, clock),
                stop,
                limits,
                clock=clock,
                wait=clock.wait,
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
        "coingecko", MemoryRateLimiter(FAST, clock), stop, limits, clock=clock, wait=clock.wait
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
def test_a_redirect_with_an_odd_location_is_refused(location, upstream, http, markets):
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
def test_a_key_that_is_invalid_in_a_header_is_named_but_not_shown(key, upstream, http):
    request = Request(f"{upstream.coingecko_url}/coins/markets", {}, {"x-cg-demo-api-key": key})

    with pytest.raises(SourceError, match="COINGECKO_API_KEY cannot be sent") as no:
        http(request)

    assert no.value.code == "misconfigured"
    assert key not in str(no.value)
    assert no.value.__cause__ is None


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "127.0.0.1/x", "http://", "http://[bad"])
def test_an_invalid_url_names_the_setting(url, http):
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


def test_not_even_the_debug_log_of_the_libraries_shows_the_key(http, markets, caplog):
    with caplog.at_level(logging.DEBUG):
        http(markets)

    assert "GET /api/v3/coins/markets" in caplog.text
    assert KEY not in caplog.text
