"""An asset's history: what was observed over a window, and candles of it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from api.intervals import INTERVALS, MONTH, WIDTHS
from shared.tables import assets, listings, observations
from tests.fakes.api import NOON, add_asset, add_listing, add_observation, api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, load, market, ticker
from tests.fakes.databases import empty
from tests.fakes.plans import read_by
from tests.fakes.reference import plain
from tests.integration.test_api_conditional import kept_from_now_on

PATH = "/data/bitcoin/history"
FEW = settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
LISTINGS = (
    ("coingecko", "bitcoin"),
    ("coinpaprika", "btc-bitcoin"),
    ("csv", "a:btc"),
    ("csv", "b"),
)

INSTANTS = tuple(
    timedelta(days=day, minutes=minutes) for day in (-5, 0, 27) for minutes in (-1, 0, 4, 5, 61)
)
"""Few, so that there are ties of every kind, and on both sides of where intervals begin."""


@pytest.fixture
def client(reader_url):
    """The API as its reader role, keeping nothing."""
    with api_on(reader_url, API_CACHE_MB="0") as client:
        yield client


def ask(client, path=PATH, **query):
    answer = client.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def walk(client, **query):
    """Follow the cursors to the end; return the entries, in exact decimals, and the pages."""
    pages = [ask(client, decimals="string", **query)]
    while pages[-1]["meta"]["next_cursor"]:
        cursor = pages[-1]["meta"]["next_cursor"]
        pages.append(ask(client, decimals="string", **query, cursor=cursor))
        assert len(pages) < 1000
    return [entry for page in pages for entry in page["data"]], pages


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def bitcoin(price, time, **fields):
    return market("bitcoin", "btc", "Bitcoin", price, time, **fields)


# --- against a model -----------------------------------------------------------------------------

NUMBERS = st.sampled_from(
    (None, *map(Decimal, ("0", "1", "1.50", "2", "3", "0.00000001234567890123456789")))
)


@st.composite
def observed(draw):
    """One observation."""
    source, external_id = draw(st.sampled_from(LISTINGS))
    return {
        "source": source,
        "external_id": external_id,
        "observed_at": MONDAY + draw(st.sampled_from(INSTANTS)),
        "ingested_at": NOON + timedelta(minutes=draw(st.integers(0, 3))),
        "payload_hash": bytes([draw(st.integers(0, 3))]) * 16,
        "run_id": 1,
        "price_usd": draw(NUMBERS),
        "volume_24h_usd": draw(NUMBERS),
    }


def place(row):
    return row["observed_at"], row["source"], row["external_id"], row["payload_hash"]


HISTORIES = st.lists(observed(), min_size=5, max_size=40, unique_by=place)


def store(engine, rows):
    """Put observations into an emptied database, of four listings of one asset, and of another."""
    empty(engine)
    with engine.begin() as conn:
        add_listing(conn, add_asset(conn, "other"), "csv", "other")
        asset = add_asset(conn, "bitcoin")
        ids = {key: add_listing(conn, asset, *key, observed_at=MONDAY) for key in LISTINGS}
        values = [
            {
                "listing_id": ids[row["source"], row["external_id"]],
                **{name: row[name] for name in row if name not in {"source", "external_id"}},
            }
            for row in rows
        ]
        if values:
            conn.execute(insert(observations), values)
            others = [{**row, "listing_id": min(ids.values()) - 1} for row in values]
            conn.execute(
                insert(observations), list({place_of(row): row for row in others}.values())
            )


def place_of(row):
    return row["observed_at"], row["payload_hash"]


def chosen(rows, start, end, *, source=None, external_id=None, known_at=None):
    return sorted(
        (
            row
            for row in rows
            if start <= row["observed_at"] < end
            and source in {None, row["source"]}
            and external_id in {None, row["external_id"]}
            and (known_at is None or row["ingested_at"] <= known_at)
        ),
        key=place,
    )


SELECTIONS = st.sampled_from(
    (
        {},
        {"source": "csv"},
        {"source": "coingecko"},
        {"external_id": "b"},
        {"source": "csv", "external_id": "a:btc"},
        {"known_at": NOON + timedelta(minutes=1)},
    )
)


def written(value):
    return value.isoformat() if isinstance(value, datetime) else value


@FEW
@given(HISTORIES, SELECTIONS, st.tuples(st.integers(-200, 100), st.integers(1, 900)), st.data())
def test_every_observation_of_the_window_is_there_once_in_order(
    engine, client, rows, selection, window, data
):
    store(engine, rows)
    page_size = data.draw(st.integers(1, 9))
    start = MONDAY + timedelta(hours=window[0])
    end = start + timedelta(hours=window[1])

    query = {name: written(value) for name, value in selection.items()}
    found, pages = walk(
        client, start=start.isoformat(), end=end.isoformat(), page_size=page_size, **query
    )

    expected = chosen(rows, start, end, **selection)
    assert [
        (each["observed_at"], each["source"], each["external_id"], each["payload_hash"])
        for each in found
    ] == [
        (plain(row["observed_at"]), *place(row)[1:3], row["payload_hash"].hex()) for row in expected
    ]
    for each, row in zip(found, expected, strict=True):
        for name in ("price_usd", "volume_24h_usd", "ingested_at"):
            assert each[name] == plain(row[name])
    assert all(page["meta"]["count"] == page_size for page in pages[:-1])
    assert len(pages) == max(1, -(-len(expected) // page_size))


def begin_of(interval, time):
    """Work out where a candle begins, apart from the program's way."""
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    if interval == MONTH:
        return midnight.replace(day=1)
    if interval == "1w":
        return midnight - timedelta(days=time.weekday())
    if interval == "1d":
        return midnight
    seconds = int(WIDTHS[interval].total_seconds())
    return midnight + timedelta(seconds=(time - midnight).seconds // seconds * seconds)


def next_of(interval, start):
    if interval == MONTH:
        return (start + timedelta(days=31)).replace(day=1)
    return start + WIDTHS[interval]


def candle(start, rows):
    priced = [row for row in rows if row["price_usd"]]
    if not priced:
        prices = dict.fromkeys(("open_usd", "high_usd", "low_usd", "close_usd"))
        ends = dict.fromkeys(("volume_24h_usd", "first_observed_at", "last_observed_at"))
        return {"start": plain(start), **prices, **ends, "sample_count": 0, "sources": []}
    prices = [row["price_usd"] for row in priced]
    current = priced[-1]["observed_at"] - timedelta(hours=1)
    volumes = [
        row["volume_24h_usd"]
        for row in priced
        if row["volume_24h_usd"] is not None and row["observed_at"] >= current
    ]
    return {
        "start": plain(start),
        "open_usd": plain(prices[0]),
        "high_usd": plain(max(prices)),
        "low_usd": plain(min(prices)),
        "close_usd": plain(prices[-1]),
        "sample_count": len(priced),
        "sources": sorted({row["source"] for row in priced}),
        "volume_24h_usd": plain(volumes[-1]) if volumes else None,
        "first_observed_at": plain(priced[0]["observed_at"]),
        "last_observed_at": plain(priced[-1]["observed_at"]),
    }


WINDOWS = st.tuples(st.sampled_from(INSTANTS), st.integers(0, 20), st.integers(1, 40))


@FEW
@given(HISTORIES, SELECTIONS, WINDOWS, st.data())
def test_candles_are_made_of_every_price_of_their_interval(
    engine, client, rows, selection, window, data
):
    store(engine, rows)
    interval, page_size = data.draw(st.sampled_from(INTERVALS)), data.draw(st.integers(1, 40))
    minutes = {"5m": 4, "15m": 11, "1h": 50, "4h": 300}.get(interval, 1500)
    start = MONDAY + window[0] - window[1] * timedelta(minutes=minutes)
    end = start + (window[1] + window[2]) * timedelta(minutes=minutes)

    query = {name: written(value) for name, value in selection.items()}
    found, pages = walk(
        client,
        start=start.isoformat(),
        end=end.isoformat(),
        interval=interval,
        page_size=page_size,
        **query,
    )

    expected, begins = [], begin_of(interval, start)
    while begins < end:
        ends = next_of(interval, begins)
        expected.append(candle(begins, chosen(rows, begins, ends, **selection)))
        begins = ends
    assert found == expected
    assert all(page["meta"]["count"] == page_size for page in pages[:-1])
    assert pages[0]["meta"]["start"] == plain(begin_of(interval, start))
    assert pages[-1]["meta"]["end"] == plain(begins)


def test_at_one_instant_the_order_is_source_id_and_hash(engine, client):
    def row(listing, minute, price, **more):
        source, external_id = LISTINGS[listing]
        return {
            "source": source,
            "external_id": external_id,
            "observed_at": MONDAY + timedelta(minutes=minute),
            "ingested_at": NOON,
            "payload_hash": bytes([more.get("revision", 0)]) * 16,
            "run_id": 1,
            "price_usd": Decimal(price),
            "volume_24h_usd": more.get("volume"),
        }

    rows = [
        *(row(0, 0, 12, revision=1), row(0, 0, 11), row(1, 0, 13), row(3, 0, 14)),
        *(row(0, 1, 21, volume=Decimal(1)), row(2, 1, 22, volume=Decimal(2)), row(3, 1, 5)),
        *(row(1, 2, 31), row(2, 2, 32, revision=2), row(2, 2, 33, revision=1), row(0, 2, 99)),
    ]
    store(engine, rows)

    [found] = ask(
        client,
        interval="5m",
        decimals="string",
        start=MONDAY.isoformat(),
        end=(MONDAY + timedelta(minutes=5)).isoformat(),
    )["data"]

    assert found == candle(MONDAY, sorted(rows, key=place))
    assert (found["open_usd"], found["close_usd"]) == ("11", "32")
    assert (found["low_usd"], found["high_usd"], found["volume_24h_usd"]) == ("5", "99", "2")


# --- windows -------------------------------------------------------------------------------------


def test_without_a_window_it_is_the_newest_that_there_is(engine, client):
    load(engine, COINGECKO, bitcoin(1, "2026-01-01T12:00:00Z"), bitcoin(2, "2026-01-02T11:00:00Z"))
    load(engine, COINGECKO, bitcoin(3, "2026-01-02T12:00:00Z"))

    day = ask(client)
    hours = ask(client, interval="1h", page_size=3)
    after = ask(client, start="2026-06-01T00:00:00Z")
    after_hours = ask(client, start="2026-06-01T00:30:00Z", interval="1h")

    assert [each["price_usd"] for each in day["data"]] == [2, 3]
    assert day["meta"]["end"] == "2026-01-02T12:00:00.000001Z"
    assert [each["close_usd"] for each in hours["data"]] == [None, 2, 3]
    assert hours["meta"]["end"] == "2026-01-02T13:00:00.000000Z"
    assert hours["meta"]["next_cursor"] is None
    assert (after["data"], after_hours["data"]) == ([], [])


def test_a_window_has_its_start_and_not_its_end(engine, client):
    load(engine, COINGECKO, *(bitcoin(hour, f"2026-01-02T{hour}:00:00Z") for hour in (10, 11, 12)))

    found = ask(client, start="2026-01-02T10:00:00Z", end="2026-01-02T12:00:00Z")["data"]
    hours = ask(client, start="2026-01-02T10:59:59Z", end="2026-01-02T12:00:00Z", interval="1h")

    assert [each["price_usd"] for each in found] == [10, 11]
    assert [each["close_usd"] for each in hours["data"]] == [10, 11]


def test_an_asset_of_which_nothing_was_observed_has_no_window(client, conn):
    add_asset(conn, "bitcoin")

    for query in ({}, {"interval": "1d"}):
        answer = ask(client, **query)
        assert (answer["data"], answer["meta"]["start"], answer["meta"]["end"]) == ([], None, None)
    empty_days = ask(
        client, interval="1d", start="2026-01-01T00:00:00Z", end="2026-01-03T00:00:00Z"
    )
    assert [each["sample_count"] for each in empty_days["data"]] == [0, 0]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-02T00:00:00Z"}, ["start"]),
        ({"start": "yesterday"}, ["start"]),
        ({"end": "2026-01-02"}, ["end"]),
        ({"interval": "1 day"}, ["interval"]),
        ({"interval": "2h"}, ["interval"]),
        ({"interval": "1m"}, ["interval"]),
        ({"interval": "5m", "start": "2000-01-01T00:00:00Z"}, ["start"]),
        ({"interval": "1mo", "end": "0001-01-01T00:00:00Z"}, ["end"]),
        ({"interval": "1d", "end": "9999-12-31T23:59:59Z"}, ["end"]),
        ({"end": "0001-01-01T00:00:00Z"}, ["end"]),
        ({"source": "binance"}, ["source"]),
        ({"source": "csv,coingecko"}, ["source"]),
        ({"source": "coingecko_coins"}, ["source"]),
        ({"external_id": ""}, ["external_id"]),
        ({"known_at": "2999-01-01T00:00:00Z"}, ["known_at"]),
        ({"page_size": "1001"}, ["page_size"]),
        ({"page_size": "0"}, ["page_size"]),
        ({"cursor": "abc"}, ["cursor"]),
        ({"format": "parquet"}, ["format"]),
        ({"as_of": "2026-01-02T00:00:00Z"}, ["as_of"]),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(engine, client, query, names):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T12:00:00Z"))

    answer = client.get(PATH, query_string=query)

    assert answer.status_code == 400, answer.text
    assert [error["parameter"] for error in answer.json["errors"]] == names


def test_an_asset_that_there_is_not(client):
    answer = client.get("/data/nothing/history")

    assert answer.status_code == 404
    assert answer.json["code"] == "asset_not_found"


@pytest.mark.parametrize("interval", [None, "1d"])
def test_a_window_that_begins_after_all_that_was_observed_is_empty(engine, client, interval):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T12:00:00Z"))
    given = {"interval": interval} if interval else {}

    for start in ("2026-01-10T00:00:00Z", "2999-01-01T00:00:00Z"):
        found = ask(client, start=start, **given)
        assert found["data"] == []
        assert datetime.fromisoformat(found["meta"]["start"]) == datetime.fromisoformat(start)
        assert found["meta"]["end"] == found["meta"]["start"]
        assert found["meta"]["next_cursor"] is None


@pytest.mark.parametrize("path", ["/data/bitcoin/history", "/data/bitcoin/raw"])
def test_a_listing_that_there_is_not_is_a_problem_that_names_those_there_are(engine, client, path):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T12:00:00Z"))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))
    there = "it has coingecko 'bitcoin', coinpaprika 'btc-bitcoin'"

    for query, such in (
        ({"external_id": "nope"}, "external_id 'nope'"),
        ({"source": "csv"}, "source 'csv'"),
        (
            {"source": "coingecko", "external_id": "btc-bitcoin"},
            "source 'coingecko' and external_id 'btc-bitcoin'",
        ),
    ):
        answer = client.get(path, query_string=query)
        assert (answer.status_code, answer.json["code"]) == (404, "listing_not_found")
        assert answer.json["detail"] == f"'bitcoin' has no listing with {such}; {there}"
    for query in ({"source": "coinpaprika"}, {"external_id": "bitcoin"}):
        assert ask(client, path, **query)["meta"]["count"] == 1


@pytest.mark.parametrize("path", ["/data/bitcoin/history", "/data/bitcoin/raw"])
def test_of_many_listings_a_problem_names_the_first_and_counts_the_others(client, conn, path):
    asset = add_asset(conn, "bitcoin")
    none = client.get(path, query_string={"source": "csv"})
    for number in range(12):
        add_listing(conn, asset, "csv", f"file-{number:02}:btc")
    many = client.get(path, query_string={"external_id": "btc"})

    assert {answer.json["code"] for answer in (none, many)} == {"listing_not_found"}
    assert none.json["detail"].endswith("; it has none")
    assert many.json["detail"].endswith(", csv 'file-09:btc', and 2 more")


def test_history_follows_a_listing_to_its_asset(engine, client, conn):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T12:00:00Z"))
    other = add_asset(conn, "other")
    conn.execute(listings.update().values(asset_id=other))

    assert ask(client)["data"] == []
    [moved] = ask(client, "/data/other/history")["data"]
    assert (moved["external_id"], moved["price_usd"]) == ("bitcoin", 1)


# --- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [None, "1h"])
def test_a_walk_shows_what_there_was_when_it_began(engine, client, interval):
    times = [f"2026-01-02T{hour:02}:00:00Z" for hour in range(10)]
    load(engine, COINGECKO, *(bitcoin(number + 1, time) for number, time in enumerate(times)))
    query = {"start": times[0], "end": "2026-01-03T00:00:00Z", "page_size": 2}
    query |= {"interval": interval} if interval else {}
    at_first, _ = walk(client, **query)

    page = ask(client, decimals="string", **query)
    seen, cursor, number = page["data"], page["meta"]["next_cursor"], 100
    while cursor:
        for time in times:
            number += 1
            load(engine, COINGECKO, bitcoin(number, time.replace(":00:00Z", ":30:00Z")))
        page = ask(client, decimals="string", **query, cursor=cursor)
        seen, cursor = seen + page["data"], page["meta"]["next_cursor"]

    assert seen == at_first
    assert walk(client, **query)[0] != at_first


def test_a_cursor_belongs_to_its_parameters(engine, client):
    load(engine, COINGECKO, *(bitcoin(1, f"2026-01-02T{hour}:00:00Z") for hour in (10, 11, 12)))
    ten = "2026-01-02T10:00:00Z"
    cursors = [
        ask(client, **query, page_size=1)["meta"]["next_cursor"]
        for query in ({"start": ten}, {"interval": "1h", "start": ten})
    ]

    for cursor in cursors:
        for query in ({}, {"interval": "1d"}, {"source": "csv"}, {"end": "2026-01-02T12:00:00Z"}):
            answer = client.get(PATH, query_string={**query, "cursor": cursor})
            assert answer.status_code == 400
            assert [error["parameter"] for error in answer.json["errors"]] == ["cursor"]
    rest = ask(client, start="2026-01-02T11:00:00+01:00", page_size=9, cursor=cursors[0])
    assert rest["meta"]["count"] == 2


def test_links_lead_from_page_to_page(engine, client):
    load(engine, COINGECKO, *(bitcoin(1, f"2026-01-02T{hour}:00:00Z") for hour in (10, 11, 12)))
    answer, met = client.get(PATH, query_string={"page_size": 1}), 0
    while True:
        met += answer.json["meta"]["count"]
        links = {
            each.split("rel=")[1].strip('"'): each.split(">")[0].strip("<")
            for each in answer.headers.getlist("Link")
        }
        if "next" not in links:
            break
        answer = client.get(links["next"])

    assert met == 3
    assert "cursor" not in links["first"]


# --- formats, conditions, cost -------------------------------------------------------------------


@pytest.mark.parametrize("interval", [None, "1h"])
def test_every_format_has_every_digit(client, conn, interval):
    listing = add_listing(conn, add_asset(conn, "bitcoin"), "csv", '=a"b')
    digits = Decimal("1234567890123456789.123456789012345678901234567890")
    add_observation(conn, listing, price_usd=digits, volume_24h_usd=Decimal("1.10"))
    query = {"interval": interval} if interval else {}

    exact = ask(client, **query, decimals="string", page_size=1)["data"]
    as_json = client.get(PATH, query_string={**query, "page_size": 1}).text
    as_csv = client.get(
        PATH, query_string={**query, "page_size": 1, "format": "csv", "bom": "true"}
    )
    as_lines = client.get(PATH, query_string={**query, "page_size": 1, "format": "ndjson"})

    price = "close_usd" if interval else "price_usd"
    assert exact[0][price] == str(digits)
    assert f'"{price}":{digits},' in as_json
    assert f'"{price}":{digits},' in as_lines.text
    assert as_csv.mimetype == "text/csv"
    [row] = csv.DictReader(io.StringIO(as_csv.data.decode("utf-8-sig")))
    assert row[price] == str(digits)
    assert row["volume_24h_usd"] == "1.10"
    assert [*row] == [*json.loads(as_lines.text)]
    if interval:
        assert row["sources"] == "csv"
    else:
        assert row["external_id"] == "'=a\"b"
        assert row["payload_hash"] == exact[0]["payload_hash"]


def test_an_answer_is_another_one_only_when_what_it_shows_is(engine, reader_url):
    load(engine, COINGECKO, *(bitcoin(hour, f"2026-01-02T{hour}:00:00Z") for hour in (10, 11, 12)))
    window = {"start": "2026-01-02T09:00:00Z", "end": "2026-01-02T13:00:00Z", "page_size": 1}

    def again(tag=""):
        with api_on(reader_url) as client:
            return client.get(PATH, query_string=window, headers={"If-None-Match": tag})

    first = again()
    load(engine, COINGECKO, bitcoin(4, "2026-01-03T00:00:00Z"))
    assert "Last-Modified" not in first.headers
    assert again(first.headers["ETag"]).status_code == 304
    load(engine, COINGECKO, bitcoin(5, "2026-01-02T09:30:00Z"))
    assert again(first.headers["ETag"]).status_code == 200


def test_a_kept_answer_is_dropped_when_something_late_comes(engine, reader_url):
    load(engine, COINGECKO, bitcoin(2, "2026-01-02T12:00:00Z"))
    with api_on(reader_url) as client:
        kept_from_now_on(client)
        assert ask(client)["meta"]["count"] == 1
        load(engine, COINGECKO, bitcoin(1, "2026-01-02T11:00:00Z"))
        for _ in range(10_000):
            if ask(client)["meta"]["count"] == 2:
                break
        assert ask(client)["meta"]["count"] == 2


def test_without_an_end_the_window_ends_with_what_was_known(engine, client):
    load(engine, COINGECKO, bitcoin(1, "2026-01-02T11:00:00Z"))
    with engine.begin() as conn:
        known = conn.scalar(
            update(observations)
            .values(ingested_at=datetime(2026, 1, 2, 12, tzinfo=UTC))
            .returning(observations.c.ingested_at)
        )
    load(engine, COINGECKO, bitcoin(2, "2026-02-02T11:00:00Z"))

    found = client.get(f"/data/bitcoin/history?known_at={known:%Y-%m-%dT%H:%M:%SZ}").json

    assert [each["price_usd"] for each in found["data"]] == []
    assert found["meta"]["end"] == "2026-01-03T12:00:00.000001Z"
    day = client.get(
        f"/data/bitcoin/history?known_at={known:%Y-%m-%dT%H:%M:%SZ}&start=2026-01-02T00:00:00Z"
    ).json
    assert [each["price_usd"] for each in day["data"]] == [1]


def test_only_the_window_is_read(engine, client, conn):
    several = {}
    for slug in ("bitcoin", "other"):
        asset = add_asset(conn, slug)
        several[slug] = [add_listing(conn, asset, "csv", f"{slug}-{number}") for number in range(2)]
    for ids in several.values():
        for listing in ids:
            rows = [
                {
                    "listing_id": listing,
                    "observed_at": NOON - timedelta(minutes=5 * each),
                    "run_id": 1,
                    "payload_hash": b"x" * 16,
                    "price_usd": Decimal(each + 1),
                }
                for each in range(2000)
            ]
            conn.execute(insert(observations), rows)
    conn.exec_driver_sql("VACUUM ANALYZE")
    hour = {"start": (NOON - timedelta(hours=1)).isoformat(), "end": NOON.isoformat()}

    for query in (hour, {**hour, "interval": "5m"}, {"page_size": 12, **hour}):
        read, _ = read_by(engine, client, PATH, query)
        assert 24 <= read < 300  # of 8000
    assert conn.scalar(select(func.count()).select_from(assets)) == 2
