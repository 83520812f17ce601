"""`/rejects`: refused records, as they were received."""

import base64

import pytest
from sqlalchemy import update

from api.request.client_socket import MAX_BUFFERED_BYTES
from shared.schema.operations import rejects
from tests.fakes.api import NOON, add_reject, add_run
from tests.fakes.batches import COINGECKO, load, market
from tests.fakes.document import check_answer


def ids(response):
    return [each["id"] for each in response.json["data"]]


def test_a_refused_record_is_shown_as_the_worker_stored_it(client, engine):
    refused = market("bitcoin", "btc", "Bitcoin", -1)
    load(engine, COINGECKO, refused)
    load(engine, COINGECKO, refused)

    response = client.get("/rejects")
    check_answer(client.get("/openapi.json").json, "/rejects", response)
    [listed] = response.json["data"]
    shown = client.get(f"/rejects/{listed['id']}").json["data"]

    assert listed["external_id"] == "bitcoin"
    assert listed["reasons"] == ["current_price: negative: -1"]
    assert listed["times_seen"] == 2
    assert (listed["first_run_id"], listed["last_run_id"]) == (1, 2)
    assert listed["payload_bytes"] == len(refused)
    assert listed["payload_preview"] == refused.decode()
    assert shown["payload"] == refused.decode()
    assert shown["payload_encoding"] == "utf-8"
    assert {name: shown[name] for name in listed if name != "payload_preview"} == {
        name: listed[name] for name in listed if name != "payload_preview"
    }


def test_a_preview_is_the_first_characters_whatever_the_bytes(client, engine):
    payloads = {
        "a" * 501: "a" * 500,
        "€" * 600: "€" * 500,
        "a" + "😀" * 600: "a" + "😀" * 499,
    }
    with engine.begin() as conn:
        for payload in payloads:
            add_reject(conn, payload.encode())
        add_reject(conn, b"\xff\xfe{}\x00")
        add_reject(conn, b"")

    shown = [each["payload_preview"] for each in client.get("/rejects").json["data"]]

    assert shown == ["", "\ufffd\ufffd{}\x00", *reversed(payloads.values())]


def test_what_is_no_text_is_given_back_byte_for_byte_in_base64(client, engine):
    payload = b"\xff\x00\x01<script>"
    with engine.begin() as conn:
        reject = add_reject(conn, payload)

    shown = client.get(f"/rejects/{reject}").json["data"]

    assert shown["payload_encoding"] == "base64"
    assert base64.b64decode(shown["payload"]) == payload


def test_a_payload_that_is_too_large_to_show_is_left_out_and_said_so(client, engine):
    with engine.begin() as conn:
        fits = add_reject(conn, b"\x01" * 102_400)  # of which JSON makes six characters each
        reject = add_reject(conn, b"b" * 102_401)

    shown = client.get(f"/rejects/{reject}").json["data"]
    largest = client.get(f"/rejects/{fits}")

    assert (shown["payload"], shown["payload_encoding"]) == (None, None)
    assert shown["payload_bytes"] == 102_401
    assert len(largest.json["data"]["payload"]) == 102_400
    assert largest.content_length < MAX_BUFFERED_BYTES


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", [3, 2]),
        ("state=open", [3, 2]),
        ("state=resolved", [1]),
        ("state=all", [3, 2, 1]),
        ("source=csv", [3]),
        ("reason=price", [2]),
        ("reason=%25", []),
        ("run_id=8", [2]),
        ("run_id=9", [3]),
        ("run_id=1&state=all", [3, 1]),
    ],
)
def test_rejects_are_found_by_state_source_reason_and_run(client, engine, query, wanted):
    with engine.begin() as conn:
        add_reject(conn, b"1", resolved_at=NOON)
        add_reject(conn, b"2", first_run_id=8, last_run_id=8)
        add_reject(conn, b"3", "csv", reasons=["name: empty"], last_run_id=9)

    response = client.get(f"/rejects?{query}")

    assert ids(response) == wanted
    assert response.json["meta"]["total"] == len(wanted)


def test_rejects_are_paged_newest_first(client, engine):
    with engine.begin() as conn:
        made = [add_reject(conn, bytes([number])) for number in range(5)]

    first = client.get("/rejects?page_size=3")
    second = client.get(f"/rejects?page_size=3&cursor={first.json['meta']['next_cursor']}")

    assert ids(first) + ids(second) == made[::-1]
    assert second.json["meta"]["next_cursor"] is None
    assert first.json["meta"]["total"] == 5


def test_one_that_passed_later_says_when(client, engine):
    with engine.begin() as conn:
        reject = add_reject(conn)
        conn.execute(update(rejects).values(resolved_at=NOON))

    assert (
        client.get(f"/rejects/{reject}").json["data"]["resolved_at"]
        == "2026-01-31T12:00:00.000000Z"
    )


@pytest.mark.parametrize("reject", ["99", "x", "0", "9" * 30])
def test_a_reject_that_there_is_not_is_a_problem_of_its_own(client, reject):
    response = client.get(f"/rejects/{reject}")

    assert response.status_code == 404
    assert response.json["code"] == "reject_not_found"


def test_stats_count_what_is_still_refused(client, engine):
    with engine.begin() as conn:
        add_run(conn)
        add_reject(conn, b"1", resolved_at=NOON)
        add_reject(conn, b"2")
        add_reject(conn, b"3", "csv")

    told = client.get("/stats").json["data"]

    assert {each["source"]: each["open_rejects"] for each in told["sources"]} == {
        "csv": 1,
        "coinpaprika": 0,
        "coingecko": 1,
        "coingecko_coins": 0,
        "coinpaprika_contracts": 0,
    }
    assert told["totals"]["open_rejects"] == 2


def test_rejects_are_counted_by_reason_without_the_values_in_it(client, conn):
    add_reject(conn, b"1", reasons=["current_price: negative: -1", "id: not text: 7"])
    add_reject(conn, b"2", reasons=["current_price: negative: -2"])
    add_reject(conn, b"3", reasons=["current_price: negative: -2"], source="coinpaprika")
    add_reject(conn, b"4", reasons=["current_price: negative: -3"], resolved_at=NOON)

    response = client.get("/rejects/reasons")
    check_answer(client.get("/openapi.json").json, "/rejects/reasons", response)

    assert [
        (each["source"], each["reason"], each["rejects"], each["example"])
        for each in response.json["data"]
    ] == [
        ("coingecko", "current_price: negative", 2, "current_price: negative: -1"),
        ("coingecko", "id: not text", 1, "id: not text: 7"),
        ("coinpaprika", "current_price: negative", 1, "current_price: negative: -2"),
    ]
    assert len(client.get("/rejects/reasons?limit=1").json["data"]) == 1
    assert client.get("/rejects/reasons?source=csv").json["data"] == []
    assert [
        each["rejects"] for each in client.get("/rejects/reasons?state=resolved").json["data"]
    ] == [1]
