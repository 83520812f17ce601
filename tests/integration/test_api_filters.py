"""`GET /data`: which assets pass, in which order, and what of them is shown."""

import itertools
from decimal import Decimal

import pytest

from api.queries.assets.columns import NULLABLE_COLUMNS
from tests.fakes.api import NOON, UNCACHED, add_asset, add_listing
from tests.fakes.batches import COINGECKO, COINPAPRIKA, EARLIER, LATER, load, market, ticker
from tests.fakes.document import parameters_of, read_document
from tests.fakes.reference import DECIMALS, HIGH, LOW, MIDDLE, expected, read_assets
from tests.fakes.walks import find

API_SETTINGS = UNCACHED


def refusals(client, **query):
    answer = client.get("/data", query_string=query)
    assert answer.status_code == 400
    return {error["parameter"]: error["detail"] for error in answer.json["errors"]}


def test_a_range_counts_every_digit_includes_its_ends_and_leaves_out_the_unknown(client, conn):
    for slug, value in (("low", LOW), ("middle", MIDDLE), ("high", HIGH), ("unknown", None)):
        add_asset(conn, slug, **dict.fromkeys(DECIMALS, value and Decimal(value)))

    for column in DECIMALS:
        check_range(client, f"min_{column}", f"max_{column}")


def check_range(client, low, high):
    assert find(client, **{low: MIDDLE}, sort="slug") == ["high", "middle"]
    assert find(client, **{high: MIDDLE}, sort="slug") == ["low", "middle"]
    assert find(client, **{low: MIDDLE, high: MIDDLE}) == ["middle"]
    assert find(client, **{low: "-9e99"}, sort="slug") == ["high", "low", "middle"]
    assert find(client, **{low: MIDDLE.replace("2", "21"), high: HIGH}) == ["high"]
    assert list(refusals(client, **{low: HIGH, high: MIDDLE})) == [low]


def test_ranges_of_whole_numbers_take_fractions_for_what_they_are(client, conn):
    for count in (1, 2, 3):
        add_asset(conn, f"of-{count}", source_count=count)
    versions = [row["version"] for row in read_assets(conn)]

    assert find(client, min_source_count="1.5", max_source_count="2.9") == ["of-2"]
    assert find(client, min_version=str(versions[1]), max_version=f"{versions[1]}.5") == ["of-2"]


def test_a_cursor_is_bound_to_every_digit_of_its_ranges(client, conn):
    for number in range(4):
        add_asset(conn, f"asset-{number}", price_usd=number + 2)

    page = client.get("/data", query_string={"page_size": 1, "min_price_usd": LOW}).json
    cursor = page["meta"]["next_cursor"]

    same = {"min_price_usd": f"{LOW}0", "cursor": cursor}
    assert client.get("/data", query_string=same).status_code == 200
    assert "cursor" in refusals(client, min_price_usd=MIDDLE, cursor=cursor)


OTHERS = (
    {"symbol": "ss"},
    {"symbol": "ß,b"},
    {"symbol": "ß", "source": "csv"},
    {"symbol": "ß", "q": "a"},
    {"symbol": "ß", "has": "price_usd"},
    {"symbol": "ß", "divergent": "false"},
    {"symbol": "ß", "active": "true"},
    {"symbol": "ß", "updated_since": "2026-01-01T00:00:00.000000Z"},
    {"symbol": "ß", "sort": "slug"},
    {},
)


def test_a_cursor_used_with_another_query_is_refused(client, conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}", symbol="ß")
    page = client.get("/data", query_string={"page_size": 1, "symbol": "ß"}).json
    cursor = page["meta"]["next_cursor"]

    assert client.get("/data", query_string={"symbol": "ß", "cursor": cursor}).status_code == 200
    for other in OTHERS:
        assert list(refusals(client, **other, cursor=cursor)) == ["cursor"]


def test_has_leaves_out_what_is_unknown(client, conn):
    add_asset(conn, "unknown")
    for column in NULLABLE_COLUMNS:
        add_asset(conn, column, **{column: NOON if column.endswith("_at") else Decimal(0)})

    for column in NULLABLE_COLUMNS:
        assert find(client, has=column) == [column]
    assert find(client, has="price_usd,observed_at") == []


def test_updated_since_includes_the_very_microsecond_in_any_zone(client, conn):
    add_asset(conn, "before", updated_at=NOON.replace(microsecond=120))
    add_asset(conn, "at", updated_at=NOON.replace(microsecond=121))

    assert find(client, updated_since="2026-01-31T12:00:00.000121Z") == ["at"]
    assert find(client, updated_since="2026-01-31T14:00:00.000121+02:00") == ["at"]
    assert find(client, updated_since="2026-01-31T12:00:00.000122Z") == []
    assert find(client, updated_since="2026-01-31T12:00:00.00012Z", sort="slug") == ["at", "before"]


def test_symbols_and_sources_are_lists_and_all_filters_hold_at_once(client, conn):
    for number, (symbol, source) in enumerate(
        itertools.product(["BTC", "ETH", "X"], ["csv", "coingecko", "coinpaprika"])
    ):
        asset = add_asset(conn, f"{symbol}-{source}".lower(), symbol=symbol, price_usd=number)
        add_listing(conn, asset, source, f"{number}")

    assert find(
        client, symbol="btc,eth", source="csv,coingecko", min_price_usd="1", sort="slug"
    ) == [
        "btc-coingecko",
        "eth-coingecko",
        "eth-csv",
    ]
    assert find(client, symbol="btc", source="csv", q="eth") == []


def test_a_search_takes_every_character_for_itself(client, conn):
    names = {
        "upper": "ÉTHER",
        "lower": "Éther",
        "coin": "a🪙b",
        "percent": "100%",
        "under": "a_b",
        "back": "c\\d",
        "quote": "'it' \"is\"",
    }
    for slug, name in names.items():
        add_asset(conn, slug, name=name, symbol="X")

    found = {
        "éTHER": ["upper", "lower"],
        "ether": [],
        "🪙": ["coin"],
        "%": ["percent"],
        "_": ["under"],
        "\\": ["back"],
        "'": ["quote"],
        '"': ["quote"],
        " ": ["quote"],
    }
    assert {q: find(client, q=q) for q in found} == found


def test_a_search_finds_former_names_and_what_another_source_calls_it_and_says_so(client, engine):
    load(engine, COINGECKO, market("terra", "luna", "Terra", 1, EARLIER))
    load(engine, COINGECKO, market("terra", "lunc", "Classic", 1, LATER))
    load(engine, COINPAPRIKA, ticker("lunc-classic", "LUNC", "CLASSIC Token"))

    for q in ("classic", "lunc", "Terra", "LUNA", "token"):
        assert find(client, q=q) == ["terra"], q
    parameters = {each["name"]: each for each in parameters_of(read_document(), "/data")}
    assert "or former name or symbol" in parameters["q"]["description"]


def test_a_search_does_not_run_over_the_end_of_a_label(client, conn):
    add_asset(conn, "slug", name="name", symbol="SYM")

    for q in ("e\ns", "name\nsym", "\n", "me\n", "\nsl", "m\r\ns"):
        answer = client.get("/data", query_string={"q": q})
        assert answer.status_code == 400 or answer.json["meta"]["total"] == 0, q


def test_what_begins_with_a_search_comes_first_on_every_page_then_the_sort_counts(client, conn):
    for number in range(12):
        name = f"bit {number}" if number % 3 == 0 else f"a bit {number}"
        symbol, slug = "BITS" if number % 4 == 1 else "X", "bit" if number == 7 else "asset"
        add_asset(conn, f"{slug}-{number}", name=name, symbol=symbol, price_usd=number // 2)

    rows = read_assets(conn)
    for page_size, sort in itertools.product((1, 5, 12), ("-price_usd", "price_usd,-slug")):
        query = {"q": "Bit", "sort": sort}
        assert find(client, page_size=page_size, **query) == expected(rows, query)


@pytest.mark.parametrize("format_", ["json", "csv", "ndjson"])
def test_fields_are_shown_in_the_order_that_was_asked_for(client, conn, format_):
    add_asset(conn, "bitcoin", name="Bitcoin", symbol="BTC", price_usd=Decimal("1.50"))

    columns = ["price_usd", "slug", "market_cap_usd", "name"]
    answer = client.get(f"/data?fields={','.join(columns)}&format={format_}&sort=-observed_at")

    if format_ == "csv":
        assert answer.text == 'price_usd,slug,market_cap_usd,name\r\n1.50,"bitcoin",,"Bitcoin"\r\n'
    elif format_ == "ndjson":
        line = '{"price_usd":1.50,"slug":"bitcoin","market_cap_usd":null,"name":"Bitcoin"}\n'
        assert answer.text == line
    else:
        assert list(answer.json["data"][0]) == columns


def test_one_field_of_a_repeated_list_is_shown_once(client, conn):
    add_asset(conn, "bitcoin")

    assert client.get("/data?fields=slug,slug").json["data"] == [{"slug": "bitcoin"}]
    assert client.get("/data?fields=slug&format=csv").text == 'slug\r\n"bitcoin"\r\n'
