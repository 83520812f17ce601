"""Odd values through the batch into a real database, and what is read back of them."""

import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations

import pytest
from sqlalchemy import Engine, Row, Text, func, select

from shared.schema.market import assets, listings, observations
from shared.schema.operations import rejects
from shared.schema.raw import RAW
from tests.fakes.batches import (
    COINGECKO,
    COINPAPRIKA,
    CSV,
    EARLIER,
    LATER,
    NOON,
    load,
    market,
    ticker,
)
from tests.fakes.cases import some_of, sparse
from tests.fakes.databases import empty
from worker.maintenance.verify import Report, verify
from worker.sources.base import Source

FAR = "2099-01-02T12:00:00.000Z"


def sound(engine: Engine) -> Report:
    """Say what the database holds; every raw record is read anew, and says what it said then."""
    report = verify(engine, [COINGECKO, COINPAPRIKA, CSV])
    assert report.findings == ()
    return report


def the_listing(engine: Engine) -> Row:
    with engine.connect() as conn:
        return conn.execute(select(listings)).one()


def the_asset(engine: Engine) -> Row:
    with engine.connect() as conn:
        return conn.execute(select(assets)).one()


def refused(engine: Engine) -> Sequence[Row]:
    with engine.connect() as conn:
        return conn.execute(select(rejects).order_by(rejects.c.position)).all()


def one(price: object = 1, at: str = NOON, **fields: object) -> bytes:
    name = str(fields.pop("name", "Bitcoin"))
    return market("bitcoin", "btc", name, price, at, **fields)


@pytest.mark.property
@pytest.mark.parametrize(
    ("source", "records"),
    [
        pytest.param(COINGECKO, [one(1, EARLIER), one(2)], id="two-instants"),
        pytest.param(COINGECKO, [one(1, EARLIER), one(2), one(3, LATER)], id="three-instants"),
        pytest.param(
            COINGECKO, [one(1, EARLIER), one("1.0"), one(1, LATER)], id="one-value-spelled-twice"
        ),
        pytest.param(
            COINGECKO,
            [one(1, EARLIER), one(1, name="Bitcoin Classic"), one(1, LATER)],
            id="renamed",
        ),
        pytest.param(
            COINPAPRIKA,
            [
                ticker("btc-bitcoin", "BTC", "Bitcoin", 1, LATER),
                ticker("btc-bitcoin", "BTC", "Bitcoin", 0),
                ticker("btc-bitcoin", "BTC", "Bitcoin", 2, EARLIER),
            ],
            id="coinpaprika",
        ),
    ],
)
def test_one_id_several_times_ends_the_same_in_any_order_and_any_cut_into_batches(
    engine: Engine, source: Source, records: list[bytes]
):
    reports = []
    shown = set()
    for number, order in some_of(enumerate(permutations(records)), 5):
        cut = number % len(records)
        empty(engine)
        counts = [load(engine, source, *part) for part in (order[:cut], order[cut:]) if part]
        assert sum(each.new for each in counts) == len(records)
        reports.append(sound(engine))
        shown.add((the_listing(engine).price_usd, the_asset(engine).price_usd))

    assert len({report.fingerprint for report in reports}) == 1
    assert len(shown) == 1


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_an_older_record_in_the_same_batch_is_history(engine: Engine, order: str):
    records = [one(2, LATER), one(1, EARLIER)]

    load(engine, COINGECKO, *(records if order == "forwards" else records[::-1]))

    assert the_asset(engine).price_usd == the_listing(engine).price_usd == 2
    with engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(observations)) == 2
    sound(engine)


REFUSED = {
    "nan": (one("NaN"), "NaN is not a number in JSON"),
    "infinity": (one("Infinity"), "Infinity is not a number in JSON"),
    "minus-infinity": (one("-Infinity"), "-Infinity is not a number in JSON"),
    "1e400": (one("1e400"), "beyond any market's figures"),
    "1e-400": (one("1e-400"), "beyond any market's figures"),
    "1e999999999999": (one("1e999999999999"), "number"),
    "99999-digits": (one("9" * 99_000), "number"),
    "negative": (one("-1.50"), "negative: -1.50"),
    "text-for-a-number": (one('"1.5"'), "not a number: '1.5'"),
    "true-for-a-number": (one("true"), "not a number: True"),
    "nul": (one(image="a\0b"), "U+0000"),
    "nul-in-a-name": (one(name="Bit\0coin"), "U+0000"),
    "nul-in-a-key": (one(**{"a\0b": 1}), "U+0000"),
    "lone-surrogate": (
        one(image="SURROGATE").replace(b"SURROGATE", b"\\ud83d"),
        "half a surrogate pair",
    ),
    "not-utf-8": (one(image="LATIN").replace(b"LATIN", b"caf\xe9"), "not JSON"),
    "future": (one(at=FAR), "is in the future"),
    "no-time": (one(at=None), "last_updated"),
    "no-zone": (one(at="2026-01-02T12:00:00"), "without its offset"),
    "epoch": (one(at="1970-01-01T00:00:00Z"), "before anything had a market price"),
    "no-id": (one(id=None), "id"),
    "empty-id": (one(id=" \u00a0"), "empty"),
    "a-number-for-an-id": (one(id=7), "not a text"),
    "endless-name": (one(name="x" * 301), "longer than 300"),
    "spaces-kept": (b'{ "id" :\t"x",  "id":"y" ,"odd":  1.00e+00 }', "name"),
}


@pytest.mark.parametrize("case", sparse(REFUSED, 4))
def test_what_is_no_record_is_kept_byte_for_byte_with_its_reason_and_costs_no_other(
    engine: Engine, case: str
):
    payload, reason = REFUSED[case]
    before = market("before", "bef", "Before")
    after = market("after", "aft", "After")

    counts = load(engine, COINGECKO, before, payload, after)

    assert (counts.fetched, counts.new, counts.rejected) == (3, 2, 1)
    (row,) = refused(engine)
    assert bytes(row.payload) == payload
    assert any(reason in said for said in row.reasons), row.reasons
    assert row.position == "page 1, record 2"
    with engine.connect() as conn:
        assert set(conn.scalars(select(listings.c.external_id))) == {"before", "after"}
    sound(engine)


def test_a_record_of_the_future_never_takes_the_place_of_today_s(engine: Engine):
    load(engine, COINGECKO, one(1))

    load(engine, COINGECKO, one(999, FAR), one(2, LATER))

    assert the_asset(engine).price_usd == 2
    sound(engine)


@pytest.mark.parametrize(
    "spelled",
    [
        "1.066896094313454e-06",
        "8.69e-05",
        "0.1",
        "1e-40",
        "1E+12",
        "9007199254740993",
        "123456789012345678",
        "999999999999999999.999999999999999999",
        "32797.10",
        "0.00000000000000000001234567890123456789",
    ],
)
@pytest.mark.parametrize("source", sparse([COINGECKO, COINPAPRIKA, CSV], 3))
def test_a_number_is_kept_to_the_digit_at_every_step(engine: Engine, source: Source, spelled: str):
    payload = {
        "coingecko": one(spelled),
        "coinpaprika": ticker("btc-bitcoin", "BTC", "Bitcoin", "PRICE").replace(
            b'"PRICE"', spelled.encode()
        ),
        "csv": csv_row(price_usd=spelled),
    }[source.name]

    assert load(engine, source, payload).new == 1

    assert the_listing(engine).price_usd == Decimal(spelled)
    assert the_asset(engine).price_usd == Decimal(spelled)
    with engine.connect() as conn:
        assert conn.scalar(select(observations.c.price_usd)) == Decimal(spelled)
        kept = conn.scalar(select(RAW[source.name].c.payload.cast(Text)))
    assert Decimal(spelled) in numbers_in(kept)
    sound(engine)


def numbers_in(document: str) -> list[Decimal]:
    found = []
    json.loads(
        document,
        parse_float=lambda each: found.append(Decimal(each)),
        parse_int=lambda each: found.append(Decimal(each)),
    )
    cells = json.loads(document).get("row", {})
    return [*found, Decimal(cells["price_usd"])] if cells else found


def csv_row(**cells: str) -> bytes:
    known = {"id": "btc", "symbol": "BTC", "name": "Bitcoin", "last_updated": NOON}
    return json.dumps({"row": {**known, "price_usd": "1", **cells}}).encode()


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2.84909E+11", "284909000000"),
        ("6.41899E+11", "641899000000"),
        ("10,123.4", "10123.4"),
        ("1.38M", "1380000"),
    ],
)
def test_a_cell_is_read_as_people_s_exports_write_it(engine: Engine, cell: str, value: str):
    load(engine, CSV, csv_row(price_usd=cell))

    assert the_asset(engine).price_usd == Decimal(value)
    sound(engine)


NAMES = {
    "emoji": ("🚀", "To the 🌕 Moon 👩‍🚀"),
    "no-break-spaces": ("btc", "Bit\u00a0coin"),
    "other-scripts": ("ビット", "比特币 بيتكوين"),
    "empty-symbol": ("", "Nameless"),
    "copy-s-own-marks": ("\\N", "tab\tnew\nline\rback\\slash \\. 'quote\" %s {x}"),
    "combining": ("e\u0301", "Cafe\u0301"),
    "longest": ("s" * 300, "🚀" * 300),
    "right-to-left": ("\u202ecba", "\u202eniocti\u200b"),
}


SPACES = ["", " ", "\u00a0", "\t\u3000"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_kept_without_the_spaces_around_it_and_raw_with_them(engine: Engine, name: str):
    symbol, called = NAMES[name]
    records = [
        market(f"odd-{number}", symbol + spaces, called + spaces)
        for number, spaces in enumerate(SPACES)
    ]

    load(engine, COINGECKO, *records)

    with engine.connect() as conn:
        listed = conn.execute(select(listings.c.symbol, listings.c.name)).all()
        shown = conn.execute(select(assets.c.symbol, assets.c.name)).all()
        raw = set(conn.scalars(select(RAW["coingecko"].c.payload["name"].astext)))
    assert listed == [(symbol, called)] * len(SPACES)
    assert set(shown) == {(symbol.upper(), called)}
    assert raw == {called + spaces for spaces in SPACES}
    assert load(engine, COINGECKO, *records).unchanged == len(SPACES)
    sound(engine)


def test_coins_without_a_symbol_are_not_one_coin(engine: Engine):
    load(engine, COINGECKO, market("a", "", "Alpha"), market("b", "", "Beta"))
    load(engine, COINPAPRIKA, ticker("-alpha", "", "Alpha"), ticker("-gamma", " ", "Gamma"))

    report = sound(engine)

    assert report.counted["listings"] == 4
    assert report.counted["assets"] >= 3


def test_coinpaprika_s_zeros_are_no_values(engine: Engine):
    payload = json.loads(ticker("x-x", "X", "X", 0))
    payload["quotes"]["USD"].update(
        {"market_cap": 0, "percent_change_1y": 0, "percent_change_30d": 0, "volume_24h": 0}
    )

    load(engine, COINPAPRIKA, json.dumps(payload).encode())

    listing = the_listing(engine)
    assert listing.price_usd is None
    assert listing.market_cap_usd is None
    assert listing.total_supply is None
    assert listing.max_supply is None
    assert listing.volume_24h_usd == 0
    sound(engine)


def test_a_zero_takes_no_value_away_from_the_asset(engine: Engine):
    load(engine, COINGECKO, one(5, max_supply=21_000_000))

    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 0, LATER))

    asset = the_asset(engine)
    assert (asset.source_count, asset.price_usd, asset.max_supply) == (2, 5, 21_000_000)
    sound(engine)


def test_a_price_in_won_is_no_price_in_dollars(engine: Engine):
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 5))
    won = ticker("btc-bitcoin", "BTC", "Bitcoin", 22_000_000, LATER).replace(b'"USD"', b'"KRW"')

    counts = load(engine, COINPAPRIKA, won)

    assert (counts.new, counts.rejected) == (0, 1)
    assert the_asset(engine).price_usd == 5
    (row,) = refused(engine)
    assert bytes(row.payload) == won
    assert row.reasons == ["quotes.USD: Missing data for required field"]
    assert row.external_id == "btc-bitcoin"
    sound(engine)


def test_a_refused_record_that_comes_again_is_one_reject(engine: Engine):
    for _ in range(3):
        assert load(engine, COINGECKO, one("NaN"), one("NaN")).rejected == 2

    assert len(refused(engine)) == 1
    sound(engine)
