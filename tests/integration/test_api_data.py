"""`GET /data`: paging, sorting, filters, digits."""

import itertools
import json
from datetime import datetime
from decimal import Decimal
from urllib.parse import urljoin

import pytest

from api.queries.assets.columns import ASSET_COLUMNS, SORT_COLUMNS
from shared.model.records import VALUES
from tests.fakes.api import NOON, add_asset, add_listing
from tests.fakes.cases import some_of, sparse

NUMBERS = (*VALUES, "price_spread_percent")
TIES = [None, Decimal(0), Decimal("1E-30"), Decimal(1), Decimal("1.0"), Decimal("1E+40"), None]


def walk(client, **query):
    """Follow the cursors from the first page to the last; return every page."""
    pages = [client.get("/data", query_string=query).json]
    while pages[-1]["meta"]["next_cursor"]:
        query["cursor"] = pages[-1]["meta"]["next_cursor"]
        pages.append(client.get("/data", query_string=query).json)
        assert len(pages) < 1000
    return pages


def slugs(client, **query):
    return [asset["slug"] for page in walk(client, **query) for asset in page["data"]]


def add_market_of_ties(conn):
    """Assets that agree in many columns, and have nulls in all that may be null."""
    names = ["Ärger", "apple", "Apple", "Zebra", "zebra", "a_b%c\\d", "apple", "🪙 coin"]
    for number, value in enumerate(itertools.islice(itertools.cycle(TIES), 23)):
        add_asset(
            conn,
            f"asset-{number * 7 % 23}",
            name=names[number % len(names)],
            symbol=names[number // 2 % len(names)].upper(),
            observed_at=None if number % 5 == 0 else NOON.replace(microsecond=number % 3),
            source_count=number % 3,
            **dict.fromkeys(NUMBERS, value),
        )


@pytest.mark.property
@pytest.mark.parametrize(
    ("sign", "search"), sparse([("", {}), ("", {"q": "a"}), ("-", {}), ("-", {"q": "a"})], 3)
)
def test_a_walk_by_any_column_meets_every_asset_once_and_in_order(client, conn, sign, search):
    add_market_of_ties(conn)

    for column in SORT_COLUMNS:
        query = {"sort": sign + column, **search}
        whole = client.get("/data", query_string={"page_size": 1000, **query}).json
        expected = [asset["slug"] for asset in whole["data"]]
        assert len(set(expected)) == len(expected) == whole["meta"]["total"] > 20
        for page_size in some_of((4, 1), every=2):
            assert slugs(client, page_size=page_size, **query) == expected, query


@pytest.mark.parametrize(
    ("column", "read"), [("price_usd", Decimal), ("observed_at", datetime.fromisoformat)]
)
def test_unknown_values_come_last_in_either_direction(client, conn, column, read):
    add_market_of_ties(conn)

    for sort in (column, f"-{column}"):
        shown = [
            asset[column]
            for page in walk(client, sort=sort, decimals="string")
            for asset in page["data"]
        ]
        values = [read(text) if text is not None else None for text in shown]
        known = [value for value in values if value is not None]
        assert values == sorted(known, reverse=sort[0] == "-") + [None] * (23 - len(known))


def test_text_is_sorted_by_code_point_and_ties_by_id(client, conn):
    add_market_of_ties(conn)

    names = [asset["name"] for page in walk(client, sort="name") for asset in page["data"]]

    assert names == sorted(names)


def test_names_longer_than_a_cursor_holds_are_all_met(client, conn):
    for number in range(5):
        add_asset(conn, f"long-{number}", name="🪙" * 500 + str(number))

    assert len(set(slugs(client, sort="-name", page_size=1))) == 5


def test_meta_counts_the_page_and_all_pages(client, conn):
    for number in range(5):
        add_asset(conn, f"asset-{number}", market_cap_usd=number)

    pages = walk(client, page_size=2)

    assert [page["meta"]["count"] for page in pages] == [2, 2, 1]
    assert {page["meta"]["total"] for page in pages} == {5}
    assert {page["meta"]["page_size"] for page in pages} == {2}
    assert all(page["meta"]["api_latency_ms"] > 0 for page in pages)


def test_an_empty_market_is_an_empty_page(client):
    page = client.get("/data").json

    assert page["data"] == []
    assert page["meta"]["total"] == 0
    assert page["meta"]["next_cursor"] is None


def test_pages_by_number_are_the_pages_by_cursor(client, conn):
    add_market_of_ties(conn)

    for number, page in enumerate(walk(client, page_size=5), start=1):
        same = client.get("/data", query_string={"page_size": 5, "page": number}).json
        assert same["data"] == page["data"]
        assert same["meta"]["next_cursor"] == page["meta"]["next_cursor"]
    beyond = client.get("/data", query_string={"page_size": 5, "page": number + 1}).json
    assert beyond["data"] == []
    assert beyond["meta"]["total"] == 23


def test_links_lead_to_the_first_and_the_next_page(client, conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}", symbol="BTC", market_cap_usd=-number)

    seen, url, first = [], "/data?symbol=btc%2Cet%26h&page_size=1&page=1", set()
    while url:
        response = client.get(url)
        seen += [asset["slug"] for asset in response.json["data"]]
        links = dict(reversed(part.split("; rel=")) for part in response.headers.getlist("Link"))
        first.add(urljoin(url, links['"first"'].strip("<>")))
        url = urljoin(url, links['"next"'].strip("<>")) if '"next"' in links else None

    assert seen == ["asset-0", "asset-1", "asset-2"]
    assert first == {"/data?symbol=btc,et%26h&page_size=1"}


def test_numbers_keep_every_digit_in_plain_notation(client, conn):
    digits = {
        "price_usd": "0.000000000000000000123456789012345678901234567890",
        "market_cap_usd": "123456789012345678901234567890.10",
        "volume_24h_usd": "0.00000001",
        "circulating_supply": "1" + "0" * 60,
        "total_supply": "0",
        "max_supply": "-1.50",
    }
    add_asset(conn, "bitcoin", **{name: Decimal(text) for name, text in digits.items()})

    for path in ("/data", "/data/bitcoin"):
        text = client.get(path).text
        assert all(f'"{name}":{number},' in text for name, number in digits.items())
        strings = client.get(f"{path}?decimals=string").json["data"]
        [strings] = strings if path == "/data" else [strings]
        assert {name: strings[name] for name in digits} == digits


def test_times_are_utc_and_say_so(client, conn):
    add_asset(conn, "bitcoin", observed_at=NOON.replace(microsecond=120))

    for asset in (client.get("/data").json["data"][0], client.get("/data/bitcoin").json["data"]):
        assert asset["observed_at"] == "2026-01-31T12:00:00.000120Z"
        assert asset["updated_at"].endswith("Z")


def test_symbols_are_found_in_any_case(client, conn):
    for slug, symbol in (("bitcoin", "BTC"), ("fake", "BTC"), ("ether", "ETH"), ("strange", "ÑÉ")):
        add_asset(conn, slug, symbol=symbol)

    assert slugs(client, symbol="btc") == ["bitcoin", "fake"]
    assert slugs(client, symbol=" eth ,Btc,btc,,ñé", sort="symbol") == [
        "bitcoin",
        "fake",
        "ether",
        "strange",
    ]
    assert slugs(client, symbol="bt") == []


def test_sources_are_those_that_list_an_asset(client, conn):
    ids = {slug: add_asset(conn, slug) for slug in ("bitcoin", "ether", "doge", "orphan")}
    add_listing(conn, ids["bitcoin"], "coingecko", "bitcoin")
    add_listing(conn, ids["bitcoin"], "coinpaprika", "btc-bitcoin")
    add_listing(conn, ids["bitcoin"], "csv", "a")
    add_listing(conn, ids["bitcoin"], "csv", "b")
    add_listing(conn, ids["ether"], "coinpaprika", "eth-ethereum")
    add_listing(conn, ids["doge"], "csv", "doge")

    assert slugs(client, source="coinpaprika", sort="slug") == ["bitcoin", "ether"]
    assert slugs(client, source="csv,coingecko", sort="slug") == ["bitcoin", "doge"]
    page = client.get("/data?source=csv,coingecko&page_size=1").json
    assert page["meta"]["total"] == 2


def test_a_search_puts_what_begins_with_the_text_first(client, conn):
    add_asset(conn, "wrapped-bit", name="Wrapped BIT", symbol="W", market_cap_usd=9)
    add_asset(conn, "bitcoin", name="Bitcoin", symbol="BTC", market_cap_usd=5)
    add_asset(conn, "other", name="Other", symbol="BITX", market_cap_usd=7)
    add_asset(conn, "rabbit", name="No", symbol="R", market_cap_usd=None)
    add_asset(conn, "ether", name="Ether", symbol="ETH", market_cap_usd=8)

    for page_size in (1, 2, 50):
        found = slugs(client, q="bIt", page_size=page_size)
        assert found == ["other", "bitcoin", "wrapped-bit", "rabbit"]


@pytest.mark.parametrize(
    ("q", "found"),
    [("100%", ["percent"]), ("a_b", ["under"]), ("c\\d", ["back"]), ("/", ["slash"])],
)
def test_a_search_takes_wildcards_for_what_they_are(client, conn, q, found):
    labels = {
        "percent": "100% coin",
        "under": "a_b",
        "back": "c\\d",
        "slash": "e/f",
        "no": "100aXbcd",
    }
    for slug, name in labels.items():
        add_asset(conn, slug, name=name)

    assert slugs(client, q=q) == found


def test_an_asset_shown_has_no_internal_ids(client, conn):
    add_asset(conn, "bitcoin")

    assert set(client.get("/data").json["data"][0]) == set(ASSET_COLUMNS)


def test_a_walk_with_changing_page_sizes_goes_on(client, conn):
    add_market_of_ties(conn)
    first = client.get("/data?page_size=3").json

    cursor = first["meta"]["next_cursor"]
    rest = client.get("/data", query_string={"page_size": 1000, "cursor": cursor}).json

    assert len(first["data"]) + len(rest["data"]) == 23


def test_a_walk_meets_every_asset_that_stays_while_others_come(client, conn):
    for number in range(20):
        add_asset(conn, f"stays-{number}", market_cap_usd=number % 4)

    seen, cursor = [], {}
    for number in itertools.count():
        page = client.get(
            "/data", query_string={"page_size": 3, "sort": "market_cap_usd", **cursor}
        ).json
        seen += [asset["slug"] for asset in page["data"] if asset["slug"].startswith("stays")]
        if page["meta"]["next_cursor"] is None:
            break
        cursor = {"cursor": page["meta"]["next_cursor"]}
        if number < 10:
            add_asset(conn, f"came-{number}", market_cap_usd=number % 5)

    assert sorted(seen) == sorted(f"stays-{number}" for number in range(20))


def test_a_document_is_json_to_a_strict_reader(client, conn):
    add_asset(conn, "bitcoin", name='quote " back \\ line \n tab \t sep \u2028 </script>')

    response = client.get("/data")

    assert response.content_type == "application/json"
    document = json.loads(response.data, parse_constant=pytest.fail)
    assert document["data"][0]["name"] == 'quote " back \\ line \n tab \t sep \u2028 </script>'
