"""Which pages may read the answers, and what a proxy in front is believed."""

import pytest

from api.middleware.cors import ALLOWED, EXPOSED
from tests.fakes.api import api_on

PAGE = "https://app.example.com"
NAMED = {"API_CORS_ORIGINS": f"{PAGE},http://localhost:3000"}
EVERY_ANSWER = [("/data", 200), ("/data?page=0", 400), ("/nowhere", 404), ("/data/nothing", 404)]


def from_page(client, path, origin=PAGE, method="GET", **headers):
    return client.open(path, method=method, headers={"Origin": origin, **headers})


def preflight(client, path, origin=PAGE, asks="GET"):
    return from_page(client, path, origin, "OPTIONS", **{"Access-Control-Request-Method": asks})


def cors_headers(answer):
    return {name for name, _ in answer.headers if name.startswith("Access-Control-")}


def test_no_page_may_read_anything_unless_one_is_named(reader_url):
    with api_on(reader_url) as client:
        answer, refused = from_page(client, "/data"), preflight(client, "/data")

    assert cors_headers(answer) == set()
    assert refused.status_code == 405
    assert cors_headers(refused) == set()


@pytest.mark.parametrize(("path", "status"), EVERY_ANSWER)
def test_a_named_page_may_read_every_answer_and_its_headers(reader_url, path, status):
    with api_on(reader_url, **NAMED) as client:
        answer = from_page(client, path)

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Expose-Headers"] == EXPOSED
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.vary


def test_it_may_read_that_it_was_refused_too(reader_url):
    limited = {"API_RATE_LIMIT": "1/hour", "API_KEYS_REQUIRED": "true"}
    with api_on(reader_url.set(database="nowhere"), **NAMED, **limited) as client:
        answers = [from_page(client, "/data"), from_page(client, "/data")]
    with api_on(reader_url.set(database="nowhere"), **NAMED) as client:
        answers.append(from_page(client, "/data"))

    assert [answer.status_code for answer in answers] == [401, 429, 503]
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {PAGE}


@pytest.mark.parametrize(
    "origin",
    ["https://evil.test", "http://app.example.com", f"{PAGE}:8443", f"{PAGE}.evil.test", "null"],
)
def test_another_page_may_not_and_no_cache_mixes_them_up(reader_url, origin):
    with api_on(reader_url, **NAMED) as client:
        answer, asked = from_page(client, "/data", origin), preflight(client, "/data", origin)

    assert cors_headers(answer) == set()
    assert "Origin" in answer.vary
    assert asked.status_code == 405
    assert cors_headers(asked) == set()


def test_any_page_may_where_a_star_says_so(reader_url):
    with api_on(reader_url, API_CORS_ORIGINS="*") as client:
        answer, asked = from_page(client, "/data", "null"), preflight(client, "/data", "null")

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Origin" not in answer.vary
    assert asked.status_code == 204


def test_a_preflight_is_answered_for_known_routes_without_a_key_and_uncounted(reader_url):
    guarded = {"API_RATE_LIMIT": "1/hour", "API_KEYS_REQUIRED": "true"}
    with api_on(reader_url, **NAMED, **guarded) as client:
        for _ in range(3):
            asked = preflight(client, "/data/bitcoin")
            assert asked.status_code == 204
            assert asked.data == b""
        unknown = preflight(client, "/nowhere")
        plain = from_page(client, "/data", method="OPTIONS")

    assert asked.headers["Access-Control-Allow-Origin"] == PAGE
    assert asked.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert asked.headers["Access-Control-Allow-Headers"] == ALLOWED
    assert {"Authorization", "X-API-Key", "If-None-Match", "traceparent"} <= {*ALLOWED.split(", ")}
    assert unknown.status_code == 404
    assert plain.status_code in {405, 429}


def test_strict_transport_is_asked_for_over_https_alone(reader_url):
    over_https = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1"}
    with api_on(reader_url) as client:
        undeclared = client.get("/data", headers=over_https)
        direct = client.get("/data", base_url="https://api.test")
    with api_on(reader_url, API_TRUSTED_PROXIES="1") as client:
        declared = client.get("/data", headers=over_https)
        plain = client.get("/data", headers={**over_https, "X-Forwarded-Proto": "http"})

    hsts = "Strict-Transport-Security"
    assert hsts not in undeclared.headers
    assert hsts not in plain.headers
    assert declared.headers[hsts] == direct.headers[hsts] == "max-age=31536000"


def test_a_declared_proxys_prefix_is_part_of_links(reader_url):
    forwarded = {"X-Forwarded-Prefix": "/market", "X-Forwarded-Host": "evil.test"}
    with api_on(reader_url, API_TRUSTED_PROXIES="1", API_TRUSTED_PREFIX="true") as client:
        declared = client.get("/data", headers=forwarded)
    with api_on(reader_url) as client:
        undeclared = client.get("/data", headers=forwarded)

    assert declared.headers["Link"].startswith("</market/data")
    assert undeclared.headers["Link"].startswith("</data")
    assert "evil" not in str(declared.headers) + declared.text


def test_every_answer_says_what_a_browser_may_not_do_with_it(reader_url):
    with api_on(reader_url) as client:
        for path, _ in EVERY_ANSWER:
            headers = client.get(path).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["Referrer-Policy"] == "no-referrer"
