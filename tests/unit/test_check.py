from datetime import UTC, datetime

import pytest

from shared.model.records import Observation, Reject
from tests.fakes.batches import COINGECKO, market
from worker.ingest.checking.check import MAX_PAYLOAD_BYTES, check
from worker.sources.fields import flatten
from worker.sources.json.records import split_records

NOW = datetime(2026, 1, 2, 12, 1, tzinfo=UTC)


def checked(payload: bytes) -> Observation | Reject:
    (record,) = split_records(b"[" + payload + b"]", "coingecko", "page 1")
    return check(COINGECKO, record, NOW)


def reasons(payload: bytes) -> list[str]:
    reject = checked(payload)
    assert isinstance(reject, Reject)
    assert reject.record.payload == payload
    return list(reject.reasons)


def test_a_sound_record_is_an_observation():
    observation = checked(market("bitcoin", "btc", "Bitcoin", "1.50"))

    assert isinstance(observation, Observation)
    assert str(observation.price_usd) == "1.50"


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("NaN", "not a number in JSON"),
        ("Infinity", "not a number in JSON"),
        ("1e400", "beyond any market's figures"),
        ("-1", "negative"),
        ('"1.5"', "not a number"),
        ("true", "not a number"),
        ("[1]", "not a number"),
    ],
)
def test_a_price_that_is_none_is_refused_with_its_value(price, reason):
    assert any(reason in said for said in reasons(market("bitcoin", "btc", "Bitcoin", price)))


def test_every_reason_is_given_not_the_first_alone():
    found = reasons(market("", "btc", "", -1, at="yesterday"))

    assert {reason.split(":")[0] for reason in found} == {
        "id",
        "name",
        "current_price",
        "last_updated",
    }


def test_a_source_time_in_the_future_is_refused():
    ahead = market("bitcoin", "btc", "Bitcoin", at="2026-01-02T12:12:00Z")

    assert reasons(ahead) == ["observed_at: 2026-01-02T12:12:00+00:00 is in the future"]


def test_a_clock_that_is_a_little_ahead_is_not_the_future():
    ahead = market("bitcoin", "btc", "Bitcoin", at="2026-01-02T12:10:00Z")

    assert isinstance(checked(ahead), Observation)


@pytest.mark.parametrize("at", ["null", '"2026-01-02T12:00:00"'])
def test_a_missing_time_or_one_without_a_zone_is_refused(at):
    payload = market("bitcoin", "btc", "Bitcoin").replace(
        b'"2026-01-02T12:00:00.000Z"', at.encode()
    )

    assert reasons(payload)[0].startswith("last_updated: ")


def test_what_jsonb_cannot_hold_is_refused():
    nul = market("bitcoin", "btc", "Bitcoin", note="a\0b")
    surrogate = market("bitcoin", "btc", "Bitcoin", note="\ud800")
    huge = market("bitcoin", "btc", "Bitcoin").replace(b"1000", b"1e999999")

    assert reasons(nul) == ["contains the character U+0000, which Postgres cannot store"]
    assert "surrogate" in reasons(surrogate)[0]
    assert reasons(huge)[0] == "contains a number beyond the range that Postgres can store"


@pytest.mark.parametrize(
    "number", ["1." + "0" * 16_399 + "1", "1" * 5000, "0." + "1" * 13_000 + "e-3999", "1e4001"]
)
def test_a_number_with_more_digits_than_jsonb_holds_is_refused(number):
    odd = market("bitcoin", "btc", "Bitcoin", note=1).replace(
        b'"note": 1', f'"note": {number}'.encode()
    )

    assert reasons(odd)[0] == "contains a number beyond the range that Postgres can store"


def test_an_escaped_backslash_before_u0000_is_no_nul():
    escaped = market("bitcoin", "btc", "Bitcoin", note="\\u0000")

    assert isinstance(checked(escaped), Observation)


def test_a_coin_of_which_the_source_knows_no_value_is_still_an_observation():
    unknown = {"market_cap": 0, "total_volume": None, "circulating_supply": None}
    observation = checked(market("b", "b", "B", "null", **unknown))

    assert isinstance(observation, Observation)
    assert observation.price_usd is None
    assert observation.market_cap_usd is None


def test_a_record_as_large_as_a_page_is_refused():
    assert "larger than" in reasons(market("b", "b", "B", note="x" * MAX_PAYLOAD_BYTES))[0]


def test_no_reason_holds_what_postgres_cannot_store():
    assert list(flatten({"a": {0: ["x\ud800y\0z."]}})) == ["a.0: x\\ud800y\\0z"]
