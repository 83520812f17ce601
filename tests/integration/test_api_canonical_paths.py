"""One path for each resource, one prefix that is declared, and no other way to either."""

import pytest

from tests.fakes.api import add_asset, api_on

PREFIXED = {"API_TRUSTED_PROXIES": "1", "API_TRUSTED_PREFIX": "true"}


@pytest.mark.parametrize(
    "target",
    [
        "//data",
        "/data/",
        "/data%2fexport",
        "/data%2Fexport",
        "/data/./bitcoin",
        "/data/%2e/bitcoin",
        "/data/x/../bitcoin",
        "/d%61ta",
        "/data/bitcoin%00",
        "/data/%ff",
        "/health%2flive",
        "//health/live",
        "/docs%2fdocs.js",
        "http://x//data",
    ],
)
def test_a_path_that_is_not_canonical_is_that_of_no_route(client, conn, target, caplog):
    caplog.set_level("INFO")
    add_asset(conn, "bitcoin")

    path = target.removeprefix("http://x").partition("?")[0]
    answer = client.get(path, environ_overrides={"RAW_URI": target, "REQUEST_URI": target})

    assert answer.status_code == 404, answer.text
    assert answer.json["code"] == "not_found"
    assert "canonical" in answer.json["detail"] or path == "/data/"
    [line] = [record for record in caplog.records if record.name == "api.request.access"]
    assert (line.route, line.status) == (None, 404)


@pytest.mark.parametrize(
    "target", ["/data/bitcoin?x%2f=1", "http://x/data/bitcoin", "/data/bit~coin"]
)
def test_only_the_path_is_asked_to_be_canonical(client, conn, target):
    add_asset(conn, "bitcoin")
    add_asset(conn, "bit~coin")

    path = target.removeprefix("http://x").partition("?")[0]
    answer = client.get(path, environ_overrides={"RAW_URI": target})

    assert answer.status_code == 200


def test_a_prefix_is_heeded_where_it_is_declared_by_itself(reader_url):
    forwarded = {"X-Forwarded-Prefix": "/market/v1"}
    links = []
    for environ in ({}, {"API_TRUSTED_PROXIES": "1"}, PREFIXED):
        with api_on(reader_url, **environ) as client:
            links.append(client.get("/data", headers=forwarded).headers["Link"])

    assert links == [
        '</data>; rel="first"',
        '</data>; rel="first"',
        '</market/v1/data>; rel="first"',
    ]


def test_a_prefix_that_is_no_path_is_refused(reader_url):
    prefixes = [
        "market",
        "//evil.test",
        "https://evil.test",
        "/a/../b",
        "/a b",
        "/a%2fb",
        "/a?b",
        "/<b>",
    ]
    with api_on(reader_url, **PREFIXED) as client:
        refused = [client.get("/data", headers={"X-Forwarded-Prefix": each}) for each in prefixes]
        taken = client.get("/data", headers={"X-Forwarded-Prefix": "/market/"})

    for prefix, answer in zip(prefixes, refused, strict=True):
        assert answer.status_code == 400, prefix
        assert answer.json["code"] == "bad_request"
        assert "X-Forwarded-Prefix" in answer.json["detail"]
    assert taken.headers["Link"].startswith("</market/data>")
