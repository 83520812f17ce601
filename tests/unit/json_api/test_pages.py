"""Pages of the JSON sources, read over HTTP from a server that follows a script."""

import json

import pytest

from shared.errors import SourceError
from shared.model.records import Page
from shared.settings import Settings
from tests.fakes import answers as says
from tests.fakes.answers import Answer
from tests.fakes.upstream import Upstream
from worker.sources.coingecko import Coingecko
from worker.sources.coinpaprika import Coinpaprika
from worker.sources.json.api import Validator
from worker.sources.json.records import split_records


def ids(pages: list[Page]) -> list[str]:
    return [record.document["id"] for page in pages for record in page.records]


def validators(pages: list[Page]) -> dict[str, str]:
    return {page.validator_key: page.validator for page in pages}


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
