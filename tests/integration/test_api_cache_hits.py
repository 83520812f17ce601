"""Answers out of the cache, given before Flask sees the request: equal to those of Flask."""

import gzip
import itertools
import json
import logging
import re
from contextlib import contextmanager

import pytest
import structlog
from flask import request_started

from shared.logs import configure_logs
from shared.model.keys import make_key
from tests.fakes.api import add_asset, api_on
from tests.fakes.api_cache import change, kept_from_now_on
from tests.fakes.gunicorn import until
from tests.fakes.metrics import of, scrape
from worker.maintenance.keys import insert_key, revoke_key

PAGE = "https://app.example.com"
OF_ITS_OWN = {"X-Request-Id", "traceparent", "Server-Timing", "RateLimit"}
OF_THE_REQUEST = re.compile(rb'"(request_id|api_latency_ms)":("[^"]*"|[0-9.]+)')
LOGGED = ("method", "route", "path", "status", "rows", "client", "user_agent")

SETTINGS = {
    "none": {},
    "one origin": {"API_CORS_ORIGINS": PAGE},
    "any origin": {"API_CORS_ORIGINS": "*"},
    "limited": {"API_RATE_LIMIT": "1000/hour"},
    "proxy": {"API_TRUSTED_PROXIES": "1", "API_TRUSTED_PREFIX": "true"},
    "keys": {"API_KEYS_REQUIRED": "true", "API_RATE_LIMIT": "1000/hour"},
}
HEADERS = {
    "none": {},
    "gzip": {"Accept-Encoding": "br, gzip;q=0.5"},
    "no gzip": {"Accept-Encoding": "gzip;q=0, *"},
    "has it": {"If-None-Match": "*"},
    "has another": {"If-None-Match": '"a", W/"b"'},
    "has it since": {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    "traced": {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vendor=1",
    },
    "named": {"User-Agent": "x" * 200, "X-Request-Id": "mine"},
    "misnamed": {"X-Request-Id": "no id", "User-Agent": "curl/8"},
    "proxied": {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/market",
    },
}
UNCONDITIONAL = {"If-None-Match": '"none"'}
METHODS = ("GET", "HEAD")
PATHS = ("/data?page_size=2", "/data?format=csv", "/data/asset-1", "/changes")


@pytest.fixture(autouse=True)
def market_of_twenty(conn):
    for number in range(20):
        add_asset(conn, f"asset-{number}", market_cap_usd=20 - number)


@pytest.fixture
def key(engine):
    key = make_key()
    with engine.begin() as conn:
        assert insert_key(conn, "reader", key, ["data"], None)
    return {"X-API-Key": key}


@contextmanager
def seen_by_flask(client):
    """Note the requests that come to Flask."""
    seen = []

    def note(_sender, **_):
        seen.append(1)

    with request_started.connected_to(note, client.application):
        yield seen


def whole(answer):
    """Take an answer apart, without what is of its own request."""
    zipped = answer.headers.get("Content-Encoding") == "gzip" and answer.data
    body = gzip.decompress(answer.data) if zipped else answer.data
    headers = [
        (name, "" if name in OF_ITS_OWN or (name == "Content-Length" and int(value)) else value)
        for name, value in answer.headers
    ]
    return answer.status, headers, OF_THE_REQUEST.sub(b"", body)


def logged(caplog):
    """Return the one line of the access log since the last call."""
    [line] = [vars(each) for each in caplog.records if each.name == "api.request.access"]
    caplog.clear()
    return line


def make_hits(client, *paths, headers=()):
    """Have the cache hold the answers."""
    kept_from_now_on(client)
    for path in paths:
        assert client.get(path, headers=headers).status_code == 200


def ask_for_hit(client, caplog, path, **options):
    """Return an answer that Flask had no part in: it judges sources and keys once a second."""
    for _ in range(10):
        caplog.clear()
        with seen_by_flask(client) as seen:
            answer = client.open(path, **options)
        if not seen:
            return answer
    raise AssertionError(f"{path} was answered by Flask ten times")


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_answer_from_the_cache_is_the_one_that_flask_gives(reader_url, caplog, key, settings):
    given, allowed = SETTINGS[settings], key if settings == "keys" else {}
    caplog.set_level("INFO")
    with (
        api_on(reader_url, **given) as client,
        api_on(reader_url, **given, API_CACHE_MB="0") as uncached,
    ):
        for sent in HEADERS.values():
            headers = {**sent, **allowed}
            make_hits(client, *PATHS, headers={**headers, **UNCONDITIONAL})
            for path, method in itertools.product(PATHS, METHODS):
                caplog.clear()
                expected = uncached.open(path, method=method, headers=headers)
                line = logged(caplog)
                answer = ask_for_hit(client, caplog, path, method=method, headers=headers)

                assert whole(answer) == whole(expected), (path, method, sent)
                hit = logged(caplog)
                assert {name: hit[name] for name in LOGGED} == {name: line[name] for name in LOGGED}
                assert (hit["bytes"], hit["cache"], hit["db_ms"]) == (len(answer.data), "hit", 0)


def test_the_ids_of_a_request_are_in_its_answer_its_log_line_and_nowhere_else(client, capfd):
    configure_logs("INFO", "json")
    make_hits(client, "/data")
    capfd.readouterr()
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

    answer = client.get(
        "/data", headers={"X-Request-Id": "mine", "traceparent": f"00-{trace}-{parent}-01"}
    )
    logging.getLogger("api.test").warning("later")

    line, later = map(json.loads, capfd.readouterr().err.splitlines())
    assert line["request_id"] == answer.json["meta"]["request_id"] == "mine"
    assert (line["trace_id"], line["parent_id"]) == (trace, parent)
    assert answer.headers["traceparent"] == f"00-{trace}-{line['span_id']}-01"
    assert not {"request_id", "trace_id"} & set(later)


def test_a_hit_is_not_logged_with_ids_of_a_request_that_broke_off(client, capfd):
    configure_logs("INFO", "json")
    make_hits(client, "/data")
    capfd.readouterr()
    structlog.contextvars.bind_contextvars(parent_id="b7ad6b7169203331")

    client.get("/data")

    (line,) = map(json.loads, capfd.readouterr().err.splitlines())
    assert (line["cache"], line.get("parent_id")) == ("hit", None)


def test_hits_are_counted_like_other_answers(client):
    make_hits(client, "/data")
    before = scrape(client)

    sizes = [len(client.get("/data").data) for _ in range(3)]
    client.head("/data")
    client.get("/data", headers={"If-None-Match": "*"})

    after = scrape(client)
    route = {"route": "/data"}

    def more(name, **labels):
        return of(after, name, **labels) - (of(before, name, **labels) or 0)

    total = "kasparro_http_requests_total"
    assert more(total, **route, method="GET", status="200") == 3
    assert more(total, **route, method="HEAD", status="200") == 1
    assert more(total, **route, method="GET", status="304") == 1
    assert more("kasparro_http_request_duration_seconds_count", **route) == 5
    assert more("kasparro_http_response_bytes_total", **route) == sum(sizes)
    assert more("kasparro_cache_answers_total", **route, result="hit") == 5
    assert of(after, "kasparro_http_requests_in_progress") == 1


def test_a_client_that_has_spent_its_rate_limit_is_counted_once_and_refused(reader_url):
    with api_on(reader_url, API_RATE_LIMIT="5/hour") as client:
        make_hits(client, "/data")
        answers = [client.get("/data") for _ in range(6)]

    assert [each.status_code for each in answers] == [200] * 4 + [429] * 2
    left = [re.search(r"r=(\d+)", each.headers["RateLimit"])[1] for each in answers]
    assert left == ["3", "2", "1", "0", "0", "0"]


def test_a_key_opens_what_is_cached_while_it_is_valid(reader_url, engine, key):
    with api_on(reader_url, API_KEYS_REQUIRED="true") as client:
        make_hits(client, "/data", headers=key)

        assert client.get("/data", headers=key).status_code == 200
        assert client.get("/data").json["code"] == "api_key_missing"
        wrong = {"Authorization": f"Bearer {make_key()}"}
        assert client.get("/data", headers=wrong).json["code"] == "api_key_unknown"
        with engine.begin() as conn:
            assert revoke_key(conn, "reader")
        until(lambda: client.get("/data", headers=key).status_code == 401)


def test_a_key_without_the_scope_opens_nothing_that_is_cached(reader_url, engine, key):
    other = make_key()
    with engine.begin() as conn:
        assert insert_key(conn, "operator", other, ["operations"], None)
    with api_on(reader_url, API_KEYS_REQUIRED="true") as client:
        make_hits(client, "/data", headers=key)
        for _ in range(2):
            assert client.get("/data", headers={"X-API-Key": other}).json["code"] == "scope_missing"


@pytest.mark.parametrize("origins", [PAGE, "*"])
def test_a_page_may_read_what_is_cached_where_it_may_read_the_route(reader_url, origins):
    with api_on(reader_url, API_CORS_ORIGINS=origins) as client:
        make_hits(client, "/data")
        own = client.get("/data", headers={"Origin": PAGE}).headers
        others = client.get("/data", headers={"Origin": "https://evil.test"}).headers

    told = "*" if origins == "*" else PAGE
    assert own["Access-Control-Allow-Origin"] == told
    assert others.get("Access-Control-Allow-Origin") == ("*" if origins == "*" else None)


@pytest.mark.parametrize("path", ["//data", "/%64ata", "/data/", "/./data"])
def test_a_path_that_is_written_in_another_way_is_no_hit(client, path):
    make_hits(client, "/data")

    assert client.get("/data").status_code == 200
    assert client.get(path).status_code == 404


def test_a_change_is_seen_past_the_cache(client, conn):
    make_hits(client, "/data/asset-1")
    for price in (7, 8):
        change(conn, price=price)
        until(lambda price=price: client.get("/data/asset-1").json["data"]["price_usd"] == price)


def test_sources_are_judged_while_every_answer_comes_from_the_cache(client):
    make_hits(client, "/data")

    with seen_by_flask(client) as seen:
        until(lambda: client.get("/data").status_code == 200 and seen)


def test_nothing_is_answered_before_flask_where_the_cache_is_off(reader_url):
    with api_on(reader_url, API_CACHE_MB="0") as client, seen_by_flask(client) as seen:
        for _ in range(3):
            client.get("/data")
        assert seen == [1, 1, 1]
