"""Signing in with a key: what the cookie opens, and what it never does."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from sqlalchemy import insert

from api.dashboard.errors import LONGEST_NEXT
from api.middleware.keys import COOKIE
from api.server.request_head import BODY_BYTES
from shared.model.keys import hash_key, make_key
from shared.schema.operations import api_keys
from tests.fakes.api_cache import kept_from_now_on
from tests.fakes.pages import Page, add_traced_asset

API_SETTINGS = {"API_KEYS_REQUIRED": "true"}
ASSET = "/dashboard/assets/bitcoin"


@pytest.fixture
def add_key(conn):
    def add(*scopes, **columns):
        key = make_key()
        row = {"name": key[-8:], "key_hash": hash_key(key), "scopes": [*scopes], **columns}
        conn.execute(insert(api_keys).values(row))
        return key

    return add


def sign_in(client, key, **options):
    form = {"key": key, "next": f"{ASSET}?chart=candles"}
    return client.post("/dashboard/sign-in", data=form, **options)


def test_a_page_asks_for_a_key_once_and_keeps_it(client, conn, add_key, caplog):
    add_traced_asset(conn)
    asked = client.get(f"{ASSET}?chart=candles")
    page = Page(asked.text)
    key = add_key("data")

    assert asked.status_code == 401
    assert page.forbidden == []
    assert {"value": f"{ASSET}?chart=candles", "type": "hidden", "name": "next"} in [
        attributes for tag, attributes in page.tags if tag == "input"
    ]
    signed_in = sign_in(client, key)
    assert signed_in.status_code == 303
    assert signed_in.headers["Location"] == f"{ASSET}?chart=candles"
    cookie = client.get_cookie(COOKIE, path="/dashboard")
    assert (cookie.http_only, cookie.same_site, cookie.secure) == (True, "Strict", False)
    shown = client.get(signed_in.headers["Location"])
    assert shown.status_code == 200
    assert shown.headers["Cache-Control"] == "private, no-cache"
    assert "Cookie" in shown.headers["Vary"]
    again = client.get(signed_in.headers["Location"])
    assert again.headers["Vary"] == shown.headers["Vary"]
    assert key not in caplog.text


def test_behind_https_the_cookie_is_secure(client, add_key):
    key = add_key("data")

    assert "; Secure;" in sign_in(client, key, base_url="https://etl.test").headers["Set-Cookie"]


def test_the_json_routes_never_accept_the_cookie(client, add_key):
    kept_from_now_on(client)
    client.set_cookie(COOKIE, add_key("data", "operations"), path="/")

    assert client.get("/dashboard").status_code == 200
    assert client.get("/dashboard").status_code == 200  # from the cache
    for path in ("/data", "/data/bitcoin", "/stats", "/metrics"):
        assert client.get(path).json["code"] == "api_key_missing"


def test_a_cached_page_is_not_shown_without_a_key(client, add_key):
    kept_from_now_on(client)
    sign_in(client, add_key("data"))
    assert client.get("/dashboard").status_code == 200

    assert client.application.test_client().get("/dashboard").status_code == 401


@pytest.mark.parametrize("other", ["a=\xff", "a=\xff; b", "notkasparro_key=x", ""])
def test_other_cookies_of_the_host_are_ignored_whatever_they_contain(client, add_key, other):
    kept_from_now_on(client)
    browser = client.application.test_client(use_cookies=False)
    ours = f"{COOKIE}={add_key('data')}"

    def get(cookies):
        return browser.get("/dashboard", environ_base={"HTTP_COOKIE": cookies})

    assert get(other).status_code == 401
    for both in (f"{other}; {ours}", f"{ours}; {other}", f"{other};{ours}") * 2:  # then cached
        assert get(both).status_code == 200
    refused = get(f"{other}; {COOKIE}={make_key()}")
    assert refused.status_code == 401
    assert refused.headers["Set-Cookie"].startswith(f"{COOKIE}=;")


def test_signing_out_forgets_the_key(client, add_key):
    sign_in(client, add_key("data"))
    assert client.get("/dashboard").status_code == 200

    assert client.post("/dashboard/sign-out").headers["Location"] == "/dashboard/sign-in"
    assert client.get("/dashboard").status_code == 401


@pytest.mark.parametrize("given", ["", "wrong", "kasparro_" + 43 * "x"])
def test_a_wrong_key_is_refused(client, given):
    answer = sign_in(client, given)

    assert answer.status_code == 401
    assert "Not accepted: this API key does not exist" in Page(answer.text).text
    assert "Set-Cookie" not in answer.headers


def test_a_key_that_is_expired_or_lost_its_use_is_forgotten(client, add_key):
    expired = add_key("data", expires_at=datetime.now(UTC) - timedelta(days=1))

    assert "expired" in Page(sign_in(client, expired).text).text
    client.set_cookie(COOKIE, expired, path="/dashboard")
    assert client.get("/dashboard").status_code == 401
    assert client.get_cookie(COOKIE, path="/dashboard") is None


def test_a_key_without_the_scope_says_so(client, add_key):
    sign_in(client, add_key("operations"))
    refused = client.get("/dashboard")

    assert refused.status_code == 403
    assert "lacks the scope 'data'" in Page(refused.text).text


@pytest.mark.parametrize(
    ("scopes", "asked", "opened"),
    [
        (["operations"], "/dashboard?q=bit", "/dashboard/sources"),
        (["operations"], "/dashboard/runs", "/dashboard/runs"),
        (["operations"], ASSET, ASSET),
        (["data"], "/dashboard?q=bit", "/dashboard?q=bit"),
        (["export"], "/dashboard", "/dashboard"),
    ],
)
def test_signing_in_leads_from_the_market_to_a_page_of_the_key(
    client, add_key, scopes, asked, opened
):
    form = {"key": add_key(*scopes), "next": asked}

    assert client.post("/dashboard/sign-in", data=form).headers["Location"] == opened
    under_a_path = client.post(
        "/dashboard/sign-in", data=form, environ_overrides={"SCRIPT_NAME": "/market"}
    )
    assert under_a_path.headers["Location"] == f"/market{opened}"


@pytest.mark.parametrize("scope", ["data", "operations"])
def test_a_key_opens_the_pages_of_its_scopes_alone(client, add_key, scope):
    sign_in(client, add_key(scope))
    pages = {
        "data": ["", "/divergent"],
        "operations": ["/sources", "/runs", "/quality", "/rejects", "/drift", "/reviews"],
    }

    for needed, paths in pages.items():
        for path in paths:
            status = client.get(f"/dashboard{path}").status_code
            assert status == (200 if needed == scope else 403), path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "http://localhost.evil.test:80"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://LOCALHOST:8000"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://a-proxy-changed-the-host.test"}, 303),
        ({}, 303),
    ],
)
def test_other_sites_cannot_send_the_forms(client, add_key, headers, status):
    for path in ("/dashboard/sign-in", "/dashboard/sign-out"):
        answer = client.post(path, data={"key": add_key("data")}, headers=headers)
        assert answer.status_code == status
        assert ("Set-Cookie" in answer.headers) == (status == 303)


def test_a_page_lets_the_browser_name_its_origin_in_a_form(client, add_key):
    kept_from_now_on(client)
    asked = client.get("/dashboard")
    sign_in(client, add_key("data"))

    for answer in (asked, client.get("/dashboard"), client.get("/dashboard")):
        assert answer.headers.getlist("Referrer-Policy") == ["same-origin"]
    assert client.get("/data").headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.test/dashboard",
        "//evil.test/dashboard",
        "//[",
        "/data",
        "\\\\evil.test",
        "/dashboard/../docs",
        "/dashboard/..//evil.test",
        "/dashboard/%2e%2e/docs",
        "/dashboard\r\nSet-Cookie: a=b",
    ],
)
def test_signing_in_leads_to_pages_of_the_dashboard_alone(client, add_key, elsewhere):
    form = {"key": add_key("data"), "next": elsewhere}

    answer = client.post("/dashboard/sign-in", data=form)
    assert answer.headers["Location"] == "/dashboard"


@pytest.mark.parametrize(
    "page",
    [f"{ASSET}?chart=candles", "/dashboard/assets/%C3%A9?q=a%26b%5B", "/dashboard?a=%0D%0Ab"],
)
def test_the_page_is_not_lost_when_the_first_key_is_wrong(client, add_key, page):
    given = next_of(client.get(page))

    given = next_of(client.post("/dashboard/sign-in", data={"key": "wrong", "next": given}))
    expired = add_key("data", expires_at=datetime.now(UTC) - timedelta(days=1))
    given = next_of(client.post("/dashboard/sign-in", data={"key": expired, "next": given}))
    form = {"key": add_key("data"), "next": given}
    assert client.post("/dashboard/sign-in", data=form).headers["Location"] == page


def test_a_page_whose_address_is_too_long_for_the_form_is_omitted(client):
    long, too_long = (f"{ASSET}?q={count * '%C3%A9'}" for count in (340, 350))

    assert next_of(client.get(long)) == long
    assert next_of(client.get(too_long)) == "/dashboard"
    assert len(urlencode({"key": make_key(), "next": ""})) < BODY_BYTES - LONGEST_NEXT


def next_of(answer):
    assert answer.status_code == 401
    inputs = [attributes for tag, attributes in Page(answer.text).tags if tag == "input"]
    return next(each["value"] for each in inputs if each["name"] == "next")


def test_static_files_and_the_form_need_no_key(client):
    page = Page(client.get("/dashboard/sign-in").text)

    assert all(client.get(loaded).status_code == 200 for loaded in page.loaded)
