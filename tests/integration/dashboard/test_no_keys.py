"""Browsers that still have the cookie of a key, on a server that requires none."""

import pytest
from sqlalchemy import insert

from api.middleware.keys import COOKIE
from shared.model.keys import hash_key, make_key
from shared.schema.operations import api_keys
from tests.fakes.api_cache import kept_from_now_on
from tests.fakes.pages import Page


@pytest.fixture
def valid_key(conn):
    key = make_key()
    conn.execute(insert(api_keys).values(name="old", key_hash=hash_key(key), scopes=["data"]))
    return key


def test_the_cookie_of_a_revoked_key_is_ignored(client):
    kept_from_now_on(client)
    client.set_cookie(COOKIE, make_key(), path="/dashboard")

    for _ in range(2):  # the second from the cache
        assert client.get("/dashboard").status_code == 200
    assert client.get("/dashboard/sources").status_code == 200


def test_the_page_of_the_sign_in_deletes_the_cookie(client):
    client.set_cookie(COOKIE, make_key(), path="/dashboard")
    page = client.get("/dashboard/sign-in")

    assert "This server needs no key" in Page(page.text).text
    assert client.get_cookie(COOKIE, path="/dashboard") is None


def test_the_form_stores_no_key(client, valid_key):
    for key in (valid_key, "wrong"):
        answer = client.post("/dashboard/sign-in", data={"key": key})
        assert answer.status_code == 200
        assert "This server needs no key" in Page(answer.text).text
        assert "Set-Cookie" not in answer.headers
