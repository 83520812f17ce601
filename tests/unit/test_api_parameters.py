"""Query strings: what is taken, and how the rest is refused."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from marshmallow import ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Request

from api import cursors
from api.keyset import Position, Sort
from api.parameters import AssetsParameters, QueryString
from api.queries import Filters

DIGEST = cursors.digest({"sort": "-market_cap_usd"})


def load(query):
    return AssetsParameters().load(Request({"QUERY_STRING": iri_to_uri(query)}).args)


def reasons(query):
    with pytest.raises(ValidationError) as caught:
        load(query)
    return {name: " ".join(each) for name, each in caught.value.normalized_messages().items()}


def test_without_parameters_the_largest_assets_come_first():
    query = load("")

    assert query["filters"] == Filters()
    assert query["sort"] == Sort("market_cap_usd", descending=True)
    assert (query["page_size"], query["start"], query["decimals"]) == (50, 0, "number")


def test_a_page_starts_after_those_before_it():
    assert load("page=1")["start"] == 0
    assert load("page=4&page_size=25")["start"] == 75


def test_lists_are_taken_apart_and_trimmed():
    query = load("symbol=BTC, eth ,,BTC&source=csv,coingecko")

    assert query["filters"] == Filters(["BTC", "eth"], ["csv", "coingecko"])


@pytest.mark.parametrize(
    ("query", "parameter", "reason"),
    [
        ("page_sise=1", "page_sise", "unknown parameter; did you mean 'page_size'?"),
        ("simbol=BTC", "simbol", "unknown parameter; did you mean 'symbol'?"),
        ("zzz=1", "zzz", "unknown parameter; known: decimals, page_size"),
        ("Symbol=BTC", "Symbol", "did you mean 'symbol'?"),
        ("page_size=0", "page_size", "greater than or equal to 1"),
        ("page_size=1001", "page_size", "less than or equal to 1000"),
        ("page_size=", "page_size", "Not a valid integer"),
        ("page_size=1_0", "page_size", "Not a valid integer"),
        ("page_size=+5", "page_size", "Not a valid integer"),
        ("page_size=\N{ARABIC-INDIC DIGIT FIVE}", "page_size", "Not a valid integer"),
        ("page_size=" + "9" * 5000, "page_size", "Not a valid integer"),
        ("page_size=5&page_size=6", "page_size", "given 2 times; expected once"),
        ("page=0", "page", "Must be from 1 to 100; beyond that follow next_cursor"),
        ("page=101", "page", "Must be from 1 to 100; beyond that follow next_cursor"),
        ("sort=marketcap", "sort", "no column 'marketcap'; did you mean 'market_cap_usd'?"),
        ("sort=--slug", "sort", "no column '-slug'; did you mean 'slug'?"),
        ("sort=", "sort", "no column ''"),
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
    position = Position(key, 2**31 - 1, 1)

    cursor = cursors.encode(position, DIGEST)

    assert cursors.decode(cursor, DIGEST, kind) == position
    assert cursor == iri_to_uri(cursor)


def test_a_cursor_is_bound_to_filters_and_sort_but_not_to_a_page_size():
    query = load("symbol=btc,eth&q=x&source=csv")
    cursor = cursors.encode(Position(Decimal(1), 7), query["digest"])

    assert load(f"symbol=ETH,BTC&q=x&source=csv&page_size=7&cursor={cursor}")["start"].id == 7
    for other in ("symbol=btc&q=x", "symbol=btc,eth&q=x&source=csv&sort=name", "", "q=x"):
        assert (
            "another sort; start again without it" in reasons(f"{other}&cursor={cursor}")["cursor"]
        )


def test_a_cursor_and_a_page_are_not_both_taken():
    cursor = cursors.encode(Position(None, 7), load("")["digest"])

    assert reasons(f"page=1&cursor={cursor}") == {
        "page": "cannot be combined with cursor; give one of them"
    }


@pytest.mark.parametrize(
    "parts",
    [
        [],
        {},
        None,
        7,
        [DIGEST],
        [DIGEST, 0, "1", 1, 1],
        [DIGEST, 0, "1", -1],
        [DIGEST, 0, "1", 2**31],
        [DIGEST, 0, "1", None],
        [DIGEST, 0, "1", [1]],
        [DIGEST, 2, "1", 1],
        [DIGEST, "x", "1", 1],
        [DIGEST, 0, 1.5, 1],
        [DIGEST, 0, "NaN", 1],
        [DIGEST, 0, "Infinity", 1],
        [DIGEST, 0, "one", 1],
        [DIGEST, 0, ["1"], 1],
        [DIGEST, 0, {"a": 1}, 1],
    ],
)
@pytest.mark.parametrize("kind", [Decimal, int])
def test_a_cursor_that_was_changed_is_malformed(parts, kind):
    cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()

    with pytest.raises(cursors.CursorError):
        cursors.decode(cursor, DIGEST, kind)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (str, "a\x00b"),
        (str, "\ud800"),
        (int, "9" * 30),
        (datetime, "2026-01-31T12:00:00"),
        (datetime, "yesterday"),
    ],
)
def test_a_key_that_postgres_would_refuse_is_malformed(kind, text):
    packed = json.dumps([DIGEST, 0, text, 1]).encode()

    with pytest.raises(cursors.CursorError, match="malformed"):
        cursors.decode(base64.urlsafe_b64encode(packed).decode(), DIGEST, kind)


def test_a_deeply_nested_cursor_is_malformed():
    packed = base64.urlsafe_b64encode(b"[" * 100_000).decode()

    with pytest.raises(cursors.CursorError, match="malformed"):
        cursors.decode(packed, DIGEST, Decimal)
