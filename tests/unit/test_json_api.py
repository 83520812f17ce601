"""Pages and records of the JSON sources, read over HTTP from a server that follows a script."""

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from marshmallow import ValidationError

from shared.errors import SourceError
from shared.records import Page
from shared.settings import Settings
from tests.fakes import upstream as says
from tests.fakes.turns import MemoryTurns
from tests.fakes.upstream import Answer, Upstream
from worker.http import Http
from worker.sources.coingecko import Coingecko
from worker.sources.coinpaprika import Coinpaprika
from worker.sources.json_api import Validator
from worker.sources.json_records import DEEPEST, split_records

PAYLOADS = Path(__file__).parent.parent / "payloads"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(assets=600) as running:
        yield running


@pytest.fixture
def http() -> Iterator[Http]:
    with Http("coingecko", MemoryTurns(6_000_000), threading.Event()) as made:
        yield made


@pytest.fixture
def coingecko(upstream) -> Coingecko:
    return Coingecko(base_url=upstream.coingecko_url, requests_per_minute=1)


@pytest.fixture
def coinpaprika(upstream) -> Coinpaprika:
    return Coinpaprika(base_url=upstream.coinpaprika_url, requests_per_minute=1)


def ids(pages: list[Page]) -> list[str]:
    return [record.document["id"] for page in pages for record in page.records]


def validators(pages: list[Page]) -> dict[str, str]:
    return {page.validator_key: page.validator for page in pages}


def record(text: str | bytes):
    """What becomes of one element of a list."""
    body = text if isinstance(text, bytes) else text.encode()
    (only,) = split_records(b"[" + body + b"]", "coingecko", "page 1")
    return only


# Pages


def test_coingecko_is_asked_page_after_page_in_a_stable_order_until_an_empty_one(
    upstream, coingecko, http
):
    pages = list(coingecko.pages(http, None, {}))

    assert [len(page.records) for page in pages] == [250, 250, 100, 0]
    cursors = [{"page": 2}, {"page": 3}, {"page": 4}]
    assert [page.cursor for page in pages] == [None, *cursors]
    assert [page.next_cursor for page in pages] == [*cursors, None]
    assert ids(pages) == sorted(coin.slug for coin in upstream.market.coins)
    assert upstream.asked[1].path == "/api/v3/coins/markets"
    assert upstream.asked[1].params == {
        "vs_currency": "usd",
        "order": "id_asc",
        "per_page": "250",
        "page": "2",
        "precision": "full",
    }


def test_a_market_that_fills_its_last_page_ends_with_an_empty_one(http):
    with Upstream(assets=500) as upstream:
        source = Coingecko(base_url=upstream.coingecko_url, requests_per_minute=1)

        pages = list(source.pages(http, None, {}))

    assert [len(page.records) for page in pages] == [250, 250, 0]


def test_reading_goes_on_at_the_cursor(upstream, coingecko, http):
    pages = list(coingecko.pages(http, {"page": 3}, {}))

    assert [len(page.records) for page in pages] == [100, 0]
    assert [asked.params["page"] for asked in upstream.asked] == ["3", "4"]


def test_coinpaprika_says_everything_in_one_answer(upstream, coinpaprika, http):
    (page,) = coinpaprika.pages(http, None, {})

    assert len(page.records) == 600
    assert page.next_cursor is None
    assert upstream.asked[0].path == "/v1/tickers"
    assert upstream.asked[0].params == {"quotes": "USD"}


def test_a_record_says_where_it_stood_and_keeps_its_bytes(upstream, coingecko, http):
    pages = list(coingecko.pages(http, None, {}))

    last = pages[2].records[-1]
    coin = upstream.market.markets("id_asc")[-1]
    assert last.position == "page 3, record 100"
    assert last.payload == upstream.market.market(coin)


def test_pages_that_did_not_change_are_not_sent_again(upstream, coingecko, http):
    first = list(coingecko.pages(http, None, {}))

    second = list(coingecko.pages(http, None, validators(first)))

    assert [page.not_modified for page in second] == [True, True, True, True]
    assert [page.known_count for page in second] == [250, 250, 100, 0]
    assert [page.next_cursor for page in second] == [page.next_cursor for page in first]
    assert all("if-none-match" in asked.headers for asked in list(upstream.asked)[4:])


def test_only_the_pages_that_changed_are_sent_again(upstream, coingecko, http):
    known = validators(list(coingecko.pages(http, None, {})))
    moved = upstream.market.markets("id_asc")[300]
    moved.version += 1

    pages = list(coingecko.pages(http, None, known))

    assert [page.not_modified for page in pages] == [True, False, True, True]


def test_a_validator_is_for_what_was_asked_and_never_holds_the_key(upstream):
    keyed = Coingecko(
        base_url=upstream.coingecko_url, requests_per_minute=1, api_key="s3cret", plan="demo"
    )

    key = keyed.validator_key({"page": 2})

    assert "page=2" in key
    assert "s3cret" not in key
    assert key != keyed.validator_key(None)


def test_a_validator_survives_being_written_down():
    validator = Validator('W/"a b"', 250)

    assert Validator.parse(validator.dump()) == validator
    assert Validator.parse(None) is None


def test_a_304_that_nobody_asked_for_fails_the_run(upstream, coingecko, http):
    upstream.answers(Answer(status=304, body=b""))

    with pytest.raises(SourceError, match="HTTP 304 to a request without If-None-Match") as no:
        list(coingecko.pages(http, None, {}))

    assert no.value.code == "not_modified_unasked"


def test_a_source_that_sends_the_same_page_for_ever_is_left(upstream, coingecko, http):
    same = [upstream.market.market(coin) for coin in upstream.market.coins[:250]]
    upstream.always(says.body(b"[" + b",".join(same) + b"]"))
    pages = coingecko.pages(http, None, {})
    next(pages)

    back = next(pages)
    assert (back.records, back.next_cursor) == ([], None)
    with pytest.raises(SourceError, match="page 2 has the same records as page 1") as no:
        next(pages)

    assert no.value.code == "paging_loop"


def test_prices_that_move_do_not_hide_that_the_pages_go_round(upstream, coingecko, http):
    pages = coingecko.pages(http, None, {})
    first, second = next(pages), next(pages)
    upstream.market.tick()
    coins = upstream.market.markets("id_asc")[:250]
    upstream.always(says.body(b"[" + b",".join(map(upstream.market.market, coins)) + b"]"))
    next(pages)

    with pytest.raises(SourceError, match="page 3 has the same records as page 1"):
        next(pages)

    assert ids([first]) != ids([second])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b" \n", "not_json"),
        (b"Rate limit exceeded", "not_json"),
        (b'{"coins": []}', "not_a_list"),
        (b'{"price": NaN}', "not_a_list"),
        (b'"text"', "not_a_list"),
        (b"null", "not_a_list"),
        (b'[{"id":"amber"}', "not_json"),
        (b'[{"id":"amber"},{"id":"ba', "not_json"),
        (b'[{"id":"amber"}] and more', "not_json"),
        (b'[{"id":"amber"}][]', "not_json"),
        (b"[}]", "not_json"),
        ("[]".encode("utf-16"), "not_json"),
        (b"[" * 100_000, "not_json"),
    ],
)
def test_a_body_that_is_no_list_fails_the_run_with_its_beginning(body, code):
    with pytest.raises(SourceError, match=r"^coingecko: page 7: .*(got|begins) '") as no:
        split_records(body, "coingecko", "page 7")

    assert no.value.code == code
    assert len(str(no.value)) < 300


@pytest.mark.parametrize("body", [b"[]", b" [ \n ] ", b"\xef\xbb\xbf[]"])
def test_an_empty_list_is_a_list(body):
    assert split_records(body, "coingecko", "page 1") == []


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
        ('{"x":NaN}', "NaN is no number in JSON"),
        ('{"x":-Infinity}', "-Infinity is no number in JSON"),
        ('{"x":1e99999999999999999999}', "a number that no decimal holds"),
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


# Saved responses


def test_a_saved_response_is_one_page_of_any_length(coingecko, tmp_path):
    saved = tmp_path / "markets.json"
    saved.write_text(json.dumps([{"id": f"coin-{number}"} for number in range(10_000)]))

    (page,) = coingecko.saved_pages(saved)

    assert len(page.records) == 10_000
    assert page.records[9_999].position == "markets.json, record 10000"
    assert (page.cursor, page.next_cursor) == (None, None)


def test_a_saved_response_that_cannot_be_read_is_named(coingecko, tmp_path):
    with pytest.raises(SourceError, match=r"nothing.json: No such file or directory") as no:
        list(coingecko.saved_pages(tmp_path / "nothing.json"))

    assert no.value.code == "unreadable"


def test_a_saved_error_is_no_response(coingecko, tmp_path):
    saved = tmp_path / "error.json"
    saved.write_text('{"status": {"error_code": 429}}')

    with pytest.raises(SourceError, match=r"error.json: expected a list of records"):
        list(coingecko.saved_pages(saved))


# Keys and plans


@pytest.mark.parametrize(
    ("environ", "url", "headers"),
    [
        ({}, "https://api.coingecko.com/api/v3", {}),
        (
            {"COINGECKO_API_KEY": "k", "COINGECKO_PLAN": "demo"},
            "https://api.coingecko.com/api/v3",
            {"x-cg-demo-api-key": "k"},
        ),
        (
            {"COINGECKO_API_KEY": "k", "COINGECKO_PLAN": "pro"},
            "https://pro-api.coingecko.com/api/v3",
            {"x-cg-pro-api-key": "k"},
        ),
        (
            {
                "COINGECKO_API_KEY": "k",
                "COINGECKO_PLAN": "pro",
                "COINGECKO_BASE_URL": "http://localhost:1/v",
            },
            "http://localhost:1/v",
            {"x-cg-pro-api-key": "k"},
        ),
    ],
)
def test_coingeckos_plan_chooses_the_host_and_the_header(environ, url, headers):
    source = Coingecko.from_settings(Settings.from_env(environ))

    request = source.request(None)

    assert request.url == f"{url}/coins/markets"
    assert request.headers == headers


@pytest.mark.parametrize(
    ("environ", "url", "headers"),
    [
        ({}, "https://api.coinpaprika.com/v1", {}),
        (
            {"COINPAPRIKA_API_KEY": "k"},
            "https://api-pro.coinpaprika.com/v1",
            {"Authorization": "k"},
        ),
    ],
)
def test_a_key_takes_coinpaprika_to_its_paid_host(environ, url, headers):
    source = Coinpaprika.from_settings(Settings.from_env(environ))

    request = source.request(None)

    assert request.url == f"{url}/tickers"
    assert request.headers == headers


def test_a_base_url_may_end_in_a_slash():
    settings = Settings.from_env(
        {"COINGECKO_BASE_URL": "http://localhost:1/v/", "COINPAPRIKA_BASE_URL": "http://h:1/"}
    )

    assert (
        Coingecko.from_settings(settings).request(None).url == "http://localhost:1/v/coins/markets"
    )
    assert Coinpaprika.from_settings(settings).request(None).url == "http://h:1/tickers"


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
