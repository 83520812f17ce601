"""Elements of a JSON answer: what each says, kept with every digit and byte."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from marshmallow import ValidationError

from worker.sources.json.records import DEEPEST, split_records

PAYLOADS = Path(__file__).parents[2] / "payloads"


def record(text: str | bytes):
    """What becomes of one element of a list."""
    body = text if isinstance(text, bytes) else text.encode()
    (only,) = split_records(b"[" + body + b"]", "coingecko", "page 1")
    return only


# Records


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.123456789012345678901234567890", Decimal("0.123456789012345678901234567890")),
        ("8.69e-05", Decimal("0.0000869")),
        ("9007199254740993", 9007199254740993),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1e400", Decimal("1e400")),
        ("1." + "1" * 5000, Decimal("1." + "1" * 5000)),
        ("9" * 5000, Decimal("9" * 5000)),
    ],
)
def test_a_number_keeps_every_digit(text, value):
    read = record(f'{{"x":{text}}}')

    assert read.document == {"x": value}
    assert read.defect is None


def test_a_name_that_stands_twice_counts_as_its_last_value():
    assert record('{"x":1,"x":2}').document == {"x": 2}


@pytest.mark.parametrize(
    ("text", "defect"),
    [
        ('{"x":NaN}', "NaN is not a number in JSON"),
        ('{"x":-Infinity}', "-Infinity is not a number in JSON"),
        ('{"x":1e99999999999999999999}', "a number beyond the range of decimals"),
        (r'{"x":"\ud800"}', "half a surrogate pair"),
        (r'{"x":"\udc00"}', "half a surrogate pair"),
        (r'{"\ud800":1}', "half a surrogate pair"),
        (r'{"x":"\ud800\ud800"}', "half a surrogate pair"),
        (b'{"x":"\xff"}', "can't decode byte 0xff"),
        (b'{"x":"\x00"}', "not JSON"),
        (r'{"x":"\x"}', "not JSON"),
        ('{"x":01}', "not JSON"),
        ('{"x" 1}', "not JSON"),
        ("1", "expected an object, got '1'"),
        ("null", "expected an object, got 'null'"),
        ("[NaN]", "expected an object, got '[NaN]'"),
        ('{"x":' + "[" * 10_000 + "]" * 10_000 + "}", "nested deeper than 100 levels"),
        ('{"x":' * 10_000 + "1" + "}" * 10_000, "nested deeper than 100 levels"),
    ],
)
def test_a_record_that_is_no_json_object_says_why_and_costs_no_other(text, defect):
    odd = text if isinstance(text, bytes) else text.encode()
    body = b'[{"id":"first"}, ' + odd + b' ,{"id":"last \\"]\\\\"}]'

    first, broken, last = split_records(body, "coingecko", "page 1")

    assert defect in broken.defect
    assert broken.payload == odd
    assert broken.position == "page 1, record 2"
    assert (first.document, first.defect) == ({"id": "first"}, None)
    assert (last.document, last.defect) == ({"id": 'last "]\\'}, None)


def test_a_comma_too_many_is_a_record_that_is_missing():
    records = split_records(b'[{"id":1},,{"id":2},]', "coingecko", "page 1")

    assert [read.document for read in records] == [{"id": 1}, None, {"id": 2}, None]


def test_a_record_may_nest_as_deep_as_declared_and_be_as_wide_as_it_likes():
    depth = DEEPEST - 1
    assert record('{"x":' + "[" * depth + "]" * depth + "}").defect is None
    assert record('{"x":[' + "[]," * 500 + '"[[["]}').defect is None


# What a record means


@pytest.fixture
def market() -> dict:
    """A record of CoinGecko's that is right."""
    first = record(json.dumps(json.loads((PAYLOADS / "coingecko.json").read_text())[0]))
    return dict(first.document)


@pytest.fixture
def ticker() -> dict:
    """A record of CoinPaprika's that is right."""
    first = record(json.dumps(json.loads((PAYLOADS / "coinpaprika.json").read_text())[0]))
    return dict(first.document)


def test_a_market_is_read_with_every_digit(market, coingecko):
    market["current_price"] = Decimal("32797.104559839122000001")

    observation = coingecko.observe(market)

    assert observation.external_id == "amber-bridge"
    assert observation.price_usd == Decimal("32797.104559839122000001")
    assert observation.max_supply == Decimal("21000000.0")
    assert observation.observed_at.isoformat() == "2025-03-01T11:58:13.383000+00:00"


def test_coingeckos_nulls_and_zeros_are_unknown(market, coingecko):
    market |= {"current_price": None, "market_cap": 0, "circulating_supply": 0, "total_volume": 0}

    observation = coingecko.observe(market)

    assert observation.price_usd is None
    assert observation.market_cap_usd is None
    assert observation.circulating_supply is None
    assert observation.volume_24h_usd == 0


def test_coinpaprikas_zeros_are_unknown_but_for_the_volume(ticker, coinpaprika):
    ticker |= {"max_supply": 0, "total_supply": 0}
    ticker["quotes"] = {"USD": {"price": Decimal("0.5"), "market_cap": 0, "volume_24h": 0}}

    observation = coinpaprika.observe(ticker)

    assert observation.max_supply is None
    assert observation.total_supply is None
    assert observation.market_cap_usd is None
    assert observation.circulating_supply is None
    assert observation.volume_24h_usd == 0
    assert observation.price_usd == Decimal("0.5")


def test_a_quote_in_another_currency_is_no_price_in_dollars(ticker, coinpaprika):
    ticker["quotes"] = {"KRW": ticker["quotes"]["USD"]}

    with pytest.raises(ValidationError) as no:
        coinpaprika.observe(ticker)

    assert no.value.messages == {"quotes": {"USD": ["Missing data for required field."]}}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"current_price": "1.5"}, {"current_price": ["not a number: '1.5'"]}),
        ({"current_price": True}, {"current_price": ["not a number: True"]}),
        ({"current_price": [1]}, {"current_price": ["not a number: [1]"]}),
        ({"current_price": Decimal("NaN")}, {"current_price": ["not a finite number: NaN"]}),
        ({"current_price": Decimal("-0.1")}, {"current_price": ["negative: -0.1"]}),
        (
            {"current_price": Decimal("1e400")},
            {"current_price": ["beyond any market's figures (1e-40 to 1e40): 1E+400"]},
        ),
        (
            {"current_price": Decimal("1e-400")},
            {"current_price": ["beyond any market's figures (1e-40 to 1e40): 1E-400"]},
        ),
        ({"last_updated": None}, {"last_updated": ["Field may not be null."]}),
        ({"last_updated": "yesterday"}, {"last_updated": ["not a time: 'yesterday'"]}),
        ({"last_updated": 1614600000}, {"last_updated": ["not a time: 1614600000"]}),
        (
            {"last_updated": "2025-03-01T11:58:13"},
            {"last_updated": ["a time without its offset from UTC: '2025-03-01T11:58:13'"]},
        ),
        (
            {"last_updated": "1970-01-01T00:00:00Z"},
            {"last_updated": ["before anything had a market price: '1970-01-01T00:00:00Z'"]},
        ),
        (
            {"last_updated": "9999-12-31T23:59:59-14:00"},
            {"last_updated": ["not a time: '9999-12-31T23:59:59-14:00'"]},
        ),
        ({"id": "  "}, {"id": ["empty, or longer than 300 characters"]}),
        ({"id": 7}, {"id": ["not a text: 7"]}),
        ({"name": None}, {"name": ["Field may not be null."]}),
        ({"symbol": "x" * 301}, {"symbol": ["longer than 300 characters"]}),
        (
            {"id": "", "current_price": -1},
            {"id": ["empty, or longer than 300 characters"], "current_price": ["negative: -1"]},
        ),
    ],
)
def test_a_record_that_breaks_its_schema_is_refused_with_every_reason(
    changes, reasons, market, coingecko
):
    with pytest.raises(ValidationError) as no:
        coingecko.observe(market | changes)

    assert no.value.messages == reasons


def test_a_time_is_read_in_utc_whatever_its_offset(market, coingecko):
    market["last_updated"] = "2025-03-01T17:28:13.383+05:30"

    assert coingecko.observe(market).observed_at.isoformat() == "2025-03-01T11:58:13.383000+00:00"


def test_a_minus_zero_is_zero_and_white_space_around_a_name_is_none(market, coingecko):
    market |= {"total_volume": Decimal("-0.0"), "name": "\u00a0 Amber\u00a0Bridge \n", "symbol": ""}

    observation = coingecko.observe(market)

    assert str(observation.volume_24h_usd) == "0"
    assert observation.name == "Amber\u00a0Bridge"
    assert observation.symbol == ""
