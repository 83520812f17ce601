"""Whose turn a request takes: its key's, once that is known to be one, else its address'."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from api.server.clients import client_of
from shared.model.keys import make_key
from shared.schema.operations import api_keys
from worker.maintenance.keys import insert_key, revoke_key

LINE = b"GET /data HTTP/1.1\r\nHost: x\r\n"
NAT = "198.51.100.7"


@pytest.fixture
def keys(client):
    return client.application.extensions["keys"]


@pytest.fixture
def key(engine):
    made = make_key()
    with engine.begin() as conn:
        assert insert_key(conn, "reader", made, ["data"], timedelta(days=1))
    return made


def head(*fields: str, body: str = "") -> bytes:
    return LINE + "".join(f"{each}\r\n" for each in fields).encode() + b"\r\n" + body.encode()


def test_a_key_takes_its_own_turns_from_its_second_request_on(client, keys, key):
    asked = head(f"Authorization: Bearer {key}")
    first = client_of(asked, NAT, 0, keys)
    assert client.get("/data", headers={"X-API-Key": key}).status_code == 200

    assert first == f"address/{NAT}"
    for again in (
        asked,
        head("Accept: */*", f"authorization:bearer   {key}  ", "X-Forwarded-For: 203.0.113.1"),
        head(f"X-API-Key: {key}"),
        head(f"cookie: a=\xff; kasparro_key={key}"),
    ):
        assert client_of(again, NAT, 1, keys).startswith("key/")


def test_a_key_that_is_none_takes_the_turns_of_its_address(client, keys, key, engine):
    def whose():
        return client_of(head(f"X-API-Key: {key}"), NAT, 0, keys)

    wrong = make_key()
    client.get("/data", headers={"X-API-Key": wrong})
    client.get("/data", headers={"X-API-Key": key})
    assert whose().startswith("key/")
    for elsewhere in (
        head(f"X-API-Key: {wrong}"),
        head(f"X-Api-Keys: {key}"),
        head(f"Cookie: {key}"),
        head(f"Cookie: kasparro_key={wrong}"),
        head(body=f"Cookie: kasparro_key={key}\r\n"),
        head(body=f"X-API-Key: {key}\r\n"),
    ):
        assert client_of(elsewhere, NAT, 0, keys) == f"address/{NAT}"

    with engine.begin() as conn:
        assert revoke_key(conn, "reader")
    refused = iter(lambda: client.get("/data", headers={"X-API-Key": key}).status_code, 401)
    assert set(refused) <= {200}
    assert whose() == f"address/{NAT}"


def test_an_expired_key_takes_the_turns_of_its_address(client, keys, key, engine):
    with engine.begin() as conn:
        conn.execute(update(api_keys).values(expires_at=text("now() - interval '1 second'")))

    assert client.get("/data", headers={"X-API-Key": key}).json["code"] == "api_key_expired"
    assert client_of(head(f"X-API-Key: {key}"), NAT, 0, keys) == f"address/{NAT}"


def test_without_a_key_it_is_the_address_that_the_declared_proxies_say(keys):
    asked = head("X-Forwarded-For: 192.0.2.1, 203.0.113.9")

    assert [client_of(asked, NAT, proxies, keys) for proxies in (0, 1, 2, 3)] == [
        f"address/{NAT}",
        "address/203.0.113.9",
        "address/192.0.2.1",
        f"address/{NAT}",
    ]
