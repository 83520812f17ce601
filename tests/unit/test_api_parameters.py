"""Query strings: what is taken, and how the rest is refused."""

import base64
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from marshmallow import ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Request

from api.parameters import QueryString
from api.parameters.assets import AssetsParameters, cursor_digest
from api.queries.assets import cursors
from api.queries.assets.columns import ASSET_COLUMNS
from api.queries.assets.cursors import Walk
from api.queries.assets.filters import Filters
from api.queries.assets.keyset import Position, SortKey

DIGEST = cursors.digest({"sort": "-market_cap_usd"})
WALK = Walk(version=4711, total=20_000)


def load(query):
    return AssetsParameters().load(Request({"QUERY_STRING": iri_to_uri(query)}).args)


def reasons(query):
    with pytest.raises(ValidationError) as caught:
        load(query)
    return {name: " ".join(each) for name, each in caught.value.normalized_messages().items()}


def test_without_parameters_the_largest_assets_come_first():
    query = load("")

    assert query["asset_query"].filters == Filters()
    assert query["asset_query"].sort == (SortKey("market_cap_usd", descending=True),)
    assert query["asset_query"].columns == ASSET_COLUMNS
    assert (query["page_size"], query["start"], query["decimals"]) == (50, 0, "number")


def test_a_page_starts_after_those_before_it():
    assert load("page=1")["start"] == 0
    assert load("page=4&page_size=25")["start"] == 75


def test_lists_are_taken_apart_and_trimmed():
    query = load("symbol=BTC, eth ,,BTC&source=csv,coingecko")

    assert query["asset_query"].filters == Filters(("BTC", "eth"), ("csv", "coingecko"))


def test_several_columns_are_sorted_by_in_the_order_given():
    assert load("sort=-source_count, name")["asset_query"].sort == (
        SortKey("source_count", descending=True),
        SortKey("name"),
    )


def test_fields_are_shown_in_the_order_given():
    assert load("fields=price_usd,slug")["asset_query"].columns == ("price_usd", "slug")


def test_bounds_keep_every_digit():
    query = load("min_price_usd=0.000000000000000000123456789&max_price_usd=1e9&min_version=7")

    assert dict(query["asset_query"].filters.ranges) == {
        "min_price_usd": Decimal("1.23456789E-19"),
        "max_price_usd": Decimal("1E+9"),
        "min_version": Decimal(7),
    }


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T13:00:00%2B01:00",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31 12:00:00.000Z",
    ],
)
def test_a_time_is_read_with_its_zone(text):
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)

    assert load(f"updated_since={text}")["asset_query"].filters.updated_since == noon


@pytest.mark.parametrize(
    ("query", "parameter", "reason"),
    [
        ("page_sise=1", "page_sise", "unknown parameter; did you mean 'page_size'?"),
        ("simbol=BTC", "simbol", "unknown parameter; did you mean 'symbol'?"),
        ("zzz=1", "zzz", "unknown parameter; known: "),
        ("min_price=1", "min_price", "did you mean 'min_price_usd'?"),
        ("min_slug=a", "min_slug", "unknown parameter"),
        ("Symbol=BTC", "Symbol", "did you mean 'symbol'?"),
        ("page_size=0", "page_size", "greater than or equal to 1"),
        ("page_size=1001", "page_size", "less than or equal to 1000"),
        ("page_size=", "page_size", "not a whole number"),
        ("page_size=1_0", "page_size", "not a whole number"),
        ("page_size=+5", "page_size", "not a whole number"),
        ("page_size=\N{ARABIC-INDIC DIGIT FIVE}", "page_size", "not a whole number"),
        ("page_size=" + "9" * 5000, "page_size", "not a whole number"),
        ("page_size=5&page_size=6", "page_size", "given 2 times; expected once"),
        ("page=0", "page", "Must be from 1 to 100; beyond that follow next_cursor"),
        ("page=101", "page", "Must be from 1 to 100; beyond that follow next_cursor"),
        ("sort=marketcap", "sort", "no column 'marketcap'; did you mean 'market_cap_usd'?"),
        ("sort=--slug", "sort", "no column '-slug'; did you mean 'slug'?"),
        ("sort=-divergent", "sort", "'divergent' is true or false; filter by it instead"),
        ("divergent=yes", "divergent", "Must be one of: true, false"),
        ("sort=", "sort", "no column ''"),
        ("sort=name,", "sort", "no column ''"),
        ("sort=name,-name", "sort", "a column is named twice"),
        ("sort=name,slug,symbol,price_usd,version", "sort", "5 columns; at most 4"),
        ("fields=price", "fields", "no column 'price'; did you mean 'price_usd'?"),
        ("fields=", "fields", "no value"),
        ("has=slug", "has", "no column that can be unknown 'slug'; known: price_usd"),
        ("min_price_usd=", "min_price_usd", "not a number: ''"),
        ("min_price_usd=cheap", "min_price_usd", "not a number: 'cheap'"),
        ("min_price_usd=NaN", "min_price_usd", "not a number: 'NaN'"),
        ("min_price_usd=Infinity", "min_price_usd", "not a number"),
        ("min_price_usd=1_0", "min_price_usd", "not a number"),
        ("min_price_usd=.5", "min_price_usd", "not a number"),
        ("min_price_usd=1e9999", "min_price_usd", "not a number"),
        ("min_price_usd=\N{ARABIC-INDIC DIGIT FIVE}", "min_price_usd", "not a number"),
        ("min_price_usd=2&max_price_usd=1", "min_price_usd", "is above max_price_usd"),
        (
            "updated_since=2026-01-31T12:00:00",
            "updated_since",
            "has no offset from UTC; expected a time",
        ),
        ("updated_since=yesterday", "updated_since", "not a time: 'yesterday'"),
        ("updated_since=0001-01-01T00:00:00%2B14:00", "updated_since", "is out of range"),
        ("format=xml", "format", "Must be one of: json, csv, ndjson"),
        ("sort=id", "sort", "no column 'id'"),
        ("symbol=", "symbol", "no value"),
        ("symbol=,, ,", "symbol", "no value"),
        ("symbol=" + ",".join(map(str, range(251))), "symbol", "251 values; at most 250"),
        ("source=coingeko", "source", "no source 'coingeko'; did you mean 'coingecko'?"),
        ("q=", "q", "between 1 and 100"),
        ("q=" + "x" * 101, "q", "between 1 and 100"),
        ("q=a%00b", "q", "U+0000"),
        ("symbol=%00", "symbol", "U+0000"),
        ("decimals=float", "decimals", "Must be one of: number, string"),
        ("cursor=", "cursor", "malformed; start again without it"),
        ("cursor=äöü", "cursor", "malformed"),
        ("cursor=AAAA", "cursor", "malformed"),
    ],
)
def test_what_is_wrong_is_named(query, parameter, reason):
    found = reasons(query)

    assert list(found) == [parameter]
    assert reason in found[parameter]


def test_every_bad_parameter_is_named_at_once():
    assert set(reasons("page_size=x&sort=y&zzz=1&q=")) == {"page_size", "sort", "zzz", "q"}


def test_a_route_without_parameters_refuses_any():
    with pytest.raises(ValidationError, match="unknown parameter; known: none"):
        QueryString().load(MultiDict({"x": "1"}))


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (Decimal, Decimal("1E-30")),
        (Decimal, Decimal("1E+40")),
        (Decimal, Decimal("-123456789012345678901234567890.123456789")),
        (Decimal, None),
        (str, "Ärger 🪙 \"' \\ \n"),
        (str, ""),
        (int, 2**62),
        (datetime, datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_a_cursor_brings_a_position_back(kind, key):
    position = Position((key, "second"), 2**31 - 1, 1)

    cursor = cursors.encode(position, WALK, DIGEST)

    assert cursors.decode(cursor, DIGEST, [kind, str]) == (position, WALK)
    assert cursor == iri_to_uri(cursor)


def cursor_of(query):
    return cursors.encode(
        Position((Decimal(1),), 7), WALK, cursor_digest(load(query)["asset_query"])
    )


def test_a_cursor_is_bound_to_filters_and_sort_but_not_to_a_page_size():
    cursor = cursor_of("symbol=btc,eth&q=x&source=csv&min_price_usd=1.0")

    same = "symbol=ETH,BTC&q=x&source=csv&min_price_usd=1&page_size=7&fields=slug&decimals=string"
    position, walk = load(f"{same}&cursor={cursor}")["start"]
    assert (position.id, walk.total) == (7, 20_000)
    for other in (
        "symbol=btc&q=x",
        "symbol=btc,eth&q=x&source=csv&min_price_usd=1&sort=name",
        "symbol=btc,eth&q=x&source=csv&min_price_usd=2",
        "symbol=btc,eth&q=x&source=csv&min_price_usd=1&has=price_usd",
        "symbol=btc,eth&q=x&source=csv&min_price_usd=1&updated_since=2026-01-31T12:00:00Z",
        "",
        "q=x",
    ):
        assert (
            "another sort; start again without it" in reasons(f"{other}&cursor={cursor}")["cursor"]
        )


def test_a_cursor_and_a_page_are_not_both_taken():
    assert reasons(f"page=1&cursor={cursor_of('')}") == {
        "page": "cannot be combined with cursor; use one of them"
    }


def test_a_cursor_that_was_cut_or_changed_is_malformed():
    cursor = cursor_of("")

    for damaged in (cursor[:-1], cursor[1:], cursor[:20] + "AA" + cursor[22:]):
        assert reasons(f"cursor={damaged}") == {"cursor": "malformed; start again without it"}


def test_a_cursor_that_still_reads_after_a_digit_changed_is_malformed():
    cursor = cursors.pack([DIGEST, 0, ["1"], 1234, 1, 1])
    packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    changed = base64.urlsafe_b64encode(packed.replace(b"1234", b"1235")).decode()

    with pytest.raises(cursors.CursorError, match="malformed"):
        cursors.unpack(changed.rstrip("="))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        {},
        None,
        7,
        [DIGEST],
        [DIGEST, 0, ["1"], 1, 1],
        [DIGEST, 0, ["1"], 1, 1, 1, 1],
        [DIGEST, 0, ["1"], -1, 1, 1],
        [DIGEST, 0, ["1"], 2**31, 1, 1],
        [DIGEST, 0, ["1"], None, 1, 1],
        [DIGEST, 0, ["1"], [1], 1, 1],
        [DIGEST, 2, ["1"], 1, 1, 1],
        [DIGEST, "x", ["1"], 1, 1, 1],
        [DIGEST, 0, [1.5], 1, 1, 1],
        [DIGEST, 0, ["NaN"], 1, 1, 1],
        [DIGEST, 0, ["Infinity"], 1, 1, 1],
        [DIGEST, 0, ["one"], 1, 1, 1],
        [DIGEST, 0, [["1"]], 1, 1, 1],
        [DIGEST, 0, {"a": 1}, 1, 1, 1],
        [DIGEST, 0, ["1", "2"], 1, 1, 1],
        [DIGEST, 0, [], 1, 1, 1],
        [DIGEST, 0, None, 1, 1, 1],
        [DIGEST, 0, ["1"], 1, -1, 1],
        [DIGEST, 0, ["1"], 1, 1, 2**63],
    ],
)
@pytest.mark.parametrize("kind", [Decimal, int])
def test_a_forged_cursor_is_malformed(parts, kind):
    with pytest.raises(cursors.CursorError, match=r"malformed|belongs to"):
        cursors.decode(cursors.pack(parts), DIGEST, [kind])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (str, "a\x00b"),
        (int, "9" * 30),
        (datetime, "2026-01-31T12:00:00"),
        (datetime, "yesterday"),
    ],
)
def test_a_key_that_postgres_would_refuse_is_malformed(kind, text):
    cursor = cursors.encode(Position((text,), 1), WALK, DIGEST)

    with pytest.raises(cursors.CursorError, match="malformed"):
        cursors.decode(cursor, DIGEST, [kind])


def test_a_deeply_nested_cursor_is_malformed():
    packed = base64.urlsafe_b64encode(b"[" * 100_000).decode()

    with pytest.raises(cursors.CursorError, match="malformed"):
        cursors.decode(packed, DIGEST, [Decimal])
