"""What was true when: the list of assets, and one of them, as they were at a time."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from shared.tables import assets, listings, observations
from tests.fakes.api import NOON, add_asset, add_listing, add_observation, api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, ticker
from tests.fakes.databases import empty
from tests.fakes.model import VALUES, Told, unify
from tests.fakes.plans import read_by
from tests.fakes.reference import follow, plain, slugs
from worker.reprocess import reprocess
from worker.sources.base import Source

SOURCES: Mapping[str, Source] = {"coingecko": COINGECKO, "coinpaprika": COINPAPRIKA, "csv": CSV}
OF_THE_PRESENT = {"version", "created_at", "updated_at"}
FEW = settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TEN, ELEVEN, TWELVE = (f"2026-01-02T{hour}:00:00Z" for hour in (10, 11, 12))

MOMENTS = pytest.mark.parametrize("moments", [["as_of"], ["known_at"], ["as_of", "known_at"]])
"""The ways to ask for the past: an answer names the parameters that were given."""


@pytest.fixture
def client(reader_url):
    """The API as its reader role, keeping nothing."""
    with api_on(reader_url, API_CACHE_MB="0") as client:
        yield client


def ask(client, path="/data", **query):
    answer = client.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def prices(client, **query):
    return {row["slug"]: row["price_usd"] for row in ask(client, **query)["data"]}


def bitcoin(price, at, **fields):
    return market("bitcoin", "btc", "Bitcoin", price, at, **fields)


def dogecoin(price, at):
    return market("dogecoin", "doge", "Dogecoin", price, at)


# --- against a model -----------------------------------------------------------------------------

COINS = (("alpha", "A", "Alpha"), ("beta", "B", "Beta"), ("gamma", "G", "Gamma"))


@st.composite
def told(draw):
    external_id, symbol, name = draw(st.sampled_from(COINS))
    return Told(
        source=draw(st.sampled_from(tuple(SOURCES))),
        external_id=external_id,
        symbol=symbol,
        name=name,
        minute=draw(st.integers(0, 4000) | st.sampled_from((0, 60))),
        price=draw(st.sampled_from(("1", "1.50", "2", "0.000000012345678901234567890", "null"))),
        cap=draw(st.sampled_from(("1000", "2000.0", "0", "null"))),
        volume=draw(st.sampled_from(("10", "0", "null"))),
        supply=draw(st.sampled_from(("100", "0", "null"))),
    )


def load_all(engine, batches):
    """Load one batch after the other; return which record came in when, in this order."""
    came_in = []
    for batch in batches:
        by_source = defaultdict(list)
        for each in batch:
            by_source[each.source].append(each)
        for source, records in by_source.items():
            load(engine, SOURCES[source], *(record.payload for record in records))
            with engine.connect() as conn:
                times = (observations.c.ingested_at, observations.c.returned_at)
                newest = conn.scalar(select(func.greatest(*map(func.max, times))))
            came_in += [(record, newest) for record in records]
    return came_in


def then(came_in, of_asset, as_of, known_at):
    """Work out which assets there were, and how they read, from the records alone."""
    newest = {}
    for record, at in came_in:
        if record.observed_at <= as_of and at <= known_at:
            other = newest.setdefault(record.key, record)
            if record.observed_at >= other.observed_at:
                newest[record.key] = record
    clusters = defaultdict(list)
    for key, record in newest.items():
        clusters[of_asset[key]].append(record)
    return {slug: unify(cluster, {}) for slug, cluster in clusters.items()}


@FEW
@given(
    data=st.data(),
    batches=st.lists(st.lists(told(), min_size=1, max_size=6), min_size=1, max_size=5),
)
def test_every_asset_is_as_it_was_known_to_be(engine, client, data, batches):
    empty(engine)
    came_in = load_all(engine, batches)
    with engine.connect() as conn:
        rows = conn.execute(
            select(listings.c.source, listings.c.external_id, assets.c.slug).join(assets)
        )
        of_asset = {(row.source, row.external_id): row.slug for row in rows}
    observed, loaded = [each.observed_at for each, _ in came_in], sorted(at for _, at in came_in)
    as_of = data.draw(st.sampled_from(observed)) - data.draw(
        st.sampled_from((timedelta(0), timedelta(microseconds=1)))
    )
    known_at = data.draw(st.sampled_from(loaded))

    for moment, known in (({}, loaded[-1]), ({"known_at": known_at.isoformat()}, known_at)):
        found = follow(
            client, as_of=as_of.isoformat(), decimals="string", page_size=2, sort="slug", **moment
        )

        shown = {row["slug"]: row for page in found for row in page["data"]}
        expected = then(came_in, of_asset, as_of, known)
        assert slugs(found) == sorted(expected)
        for slug, asset in expected.items():
            row = shown[slug]
            assert [row[value] for value in VALUES] == [*map(plain, asset.values)]
            assert row["observed_at"] == plain(asset.observed_at)
            assert row["source_count"] == asset.source_count
            detail = ask(
                client, f"/data/{slug}", as_of=as_of.isoformat(), decimals="string", **moment
            )["data"]
            assert {name: detail[name] for name in row} == row
            assert [
                detail["provenance"][value]
                and (
                    detail["provenance"][value]["source"],
                    detail["provenance"][value]["external_id"],
                )
                for value in VALUES
            ] == [*asset.origins]


# --- as the present ------------------------------------------------------------------------------


@pytest.fixture
def present(engine):
    """Assets, some divergent, with what is unknown, and several observations of each."""
    for minute in (0, 5, 7):
        at = f"2026-01-02T12:{minute:02}:00Z"
        load(
            engine,
            COINGECKO,
            *(
                market(f"coin-{n}", f"c{n}", f"Coin {n}", n + minute, at, market_cap=n % 3 or None)
                for n in range(1, 12)
            ),
        )
        load(
            engine,
            COINPAPRIKA,
            *(ticker(f"c{n}-coin", f"C{n}", f"Coin {n}", n + minute, at) for n in (1, 4)),
        )


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"sort": "name"},
        {"sort": "-price_usd,slug"},
        {"sort": "-source_count,market_cap_usd,-name"},
        {"symbol": "c1,C4,zz"},
        {"source": "coinpaprika"},
        {"divergent": "true"},
        {"divergent": "false", "sort": "slug"},
        {"q": "coin 1"},
        {"q": "1", "sort": "-price_usd"},
        {"min_price_usd": "8", "max_price_usd": "15"},
        {"has": "market_cap_usd", "sort": "price_usd"},
        {"fields": "slug,price_usd,observed_at"},
        {"decimals": "string"},
        {"page": "2", "page_size": "3"},
    ],
)
def test_as_of_now_the_list_is_the_present_one(client, query):
    query = {"page_size": 4, **query}
    now = datetime.now(UTC).isoformat()
    if "page" in query:
        past, present = (ask(client, **query, **more)["data"] for more in ({"as_of": now}, {}))
    else:
        past, present = (
            [row for page in follow(client, **query, **more) for row in page["data"]]
            for more in ({"as_of": now}, {})
        )

    assert past
    for row in past + present:
        for name in OF_THE_PRESENT:
            row.pop(name, None)
    assert past == present


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("path", ["/data", "/data/export"])
def test_the_past_comes_in_every_format(client, path):
    query = {"as_of": "2026-01-02T12:05:00Z", "fields": "slug,price_usd,version", "sort": "slug"}
    rows = ask(client, **query)["data"]

    as_csv = client.get(path, query_string={**query, "format": "csv"})
    as_lines = client.get(path, query_string={**query, "format": "ndjson"})

    assert rows[0]["version"] is None
    assert [json.loads(line) for line in as_lines.text.splitlines()] == rows
    assert [*csv.DictReader(io.StringIO(as_csv.text))] == [
        {"slug": row["slug"], "price_usd": str(row["price_usd"]), "version": ""} for row in rows
    ]
    assert as_csv.headers["X-Total-Count"] == str(len(rows))


def test_an_export_of_the_past_notices_what_came_late(engine, client):
    load(engine, COINGECKO, bitcoin(3, TWELVE))
    load(engine, COINGECKO, bitcoin(1, TEN))
    query = {"as_of": ELEVEN, "format": "ndjson", "fields": "price_usd"}

    before = client.get("/data/export", query_string=query)
    load(engine, COINGECKO, bitcoin(2, ELEVEN))
    after = client.get("/data/export", query_string=query)

    assert before.text == '{"price_usd":1}\n'
    assert after.text == '{"price_usd":2}\n'
    assert before.headers["ETag"] != after.headers["ETag"]


def test_an_export_of_the_past_notices_what_was_reprocessed(engine, client):
    load(engine, COINGECKO, bitcoin(1, TEN), bitcoin(3, TWELVE))
    query = {"as_of": ELEVEN, "format": "ndjson", "fields": "price_usd"}
    with engine.begin() as conn:
        conn.execute(
            update(observations).values(price_usd=1.25).where(observations.c.price_usd == 1)
        )

    before = client.get("/data/export", query_string=query)
    reprocess(engine, COINGECKO)
    after = client.get("/data/export", query_string=query)

    assert before.text == '{"price_usd":1.25}\n'
    assert after.text == '{"price_usd":1}\n'
    assert after.headers["Content-Length"] == str(len(after.data))
    assert before.headers["ETag"] != after.headers["ETag"]


def test_a_name_that_came_back_is_that_of_the_present(engine, client):
    names = (("luna", "Terra", TEN), ("lunc", "Terra Classic", ELEVEN), ("luna", "Terra", TWELVE))
    for symbol, name, at in names:
        load(engine, COINGECKO, market("terra", symbol, name, 1, at))

    told = [
        client.get("/data", query_string={"as_of": at, "symbol": symbol}).json["data"]
        for symbol, _, at in names
    ]

    assert [[asset["name"] for asset in assets] for assets in told] == [
        [name] for _, name, _ in names
    ]


# --- what is in it -------------------------------------------------------------------------------


def test_what_is_delisted_since_is_in_it_and_what_came_later_is_not(engine, client):
    load(engine, COINGECKO, bitcoin("1.50", TEN), dogecoin(7, TEN))
    load(engine, COINGECKO, bitcoin(2, TWELVE), market("new", "new", "New", 1, TWELVE))

    assert prices(client, as_of=ELEVEN) == {"bitcoin": 1.5, "dogecoin": 7}
    assert prices(client, as_of="2026-01-02T09:59:59.999999Z") == {}
    assert prices(client, as_of=TWELVE) == {"bitcoin": 2, "dogecoin": 7, "new": 1}


def test_a_listing_that_was_last_observed_years_before_is_found(engine, client):
    load(engine, COINGECKO, dogecoin(7, "2014-01-01T00:00:00Z"), bitcoin(2, TEN))

    assert prices(client, as_of=TWELVE) == {"bitcoin": 2, "dogecoin": 7}
    assert prices(client, as_of="2014-01-01T00:00:00Z") == {"dogecoin": 7}


def test_names_are_those_of_then_and_every_name_is_found(engine, client):
    load(engine, COINGECKO, market("terra-luna", "luna", "Terra", 80, TEN))
    load(engine, COINGECKO, market("terra-luna", "lunc", "Terra Classic", 0.1, TWELVE))

    for query in ({}, {"q": "classic"}, {"q": "terra"}, {"symbol": "luna"}):
        [row] = ask(client, as_of=ELEVEN, **query)["data"]
        assert (row["symbol"], row["name"]) == ("LUNA", "Terra")
    assert ask(client, as_of=ELEVEN, symbol="LUNC")["data"] == []
    [row] = ask(client, as_of=TWELVE)["data"]
    assert (row["symbol"], row["name"]) == ("LUNC", "Terra Classic")
    slug = row["slug"]
    assert ask(client, f"/data/{slug}", as_of=ELEVEN)["data"]["listings"][0]["symbol"] == "luna"


def test_history_follows_a_listing_to_its_asset(engine, client, conn):
    load(engine, COINGECKO, bitcoin(1, TEN), dogecoin(7, TEN))
    doge = conn.scalar(select(assets.c.id).where(assets.c.slug == "dogecoin"))
    conn.execute(update(listings).where(listings.c.external_id == "bitcoin").values(asset_id=doge))

    assert [*prices(client, as_of=TEN)] == ["dogecoin"]
    assert len(ask(client, "/data/dogecoin", as_of=TEN)["data"]["listings"]) == 2


def test_a_correction_that_came_late_is_left_out_by_known_at(engine, client, conn):
    load(engine, COINGECKO, bitcoin(1, TEN))
    known = conn.scalar(select(func.max(observations.c.ingested_at))).isoformat()
    load(engine, COINGECKO, bitcoin(2, TEN, market_cap=7))
    load(engine, COINGECKO, bitcoin(3, ELEVEN))
    newest = {"as_of": TWELVE}

    assert prices(client, **newest) == {"bitcoin": 3}
    assert prices(client, **newest, known_at=known) == {"bitcoin": 1}
    assert prices(client, known_at=known) == {"bitcoin": 1}
    assert prices(client, as_of=TEN, known_at="2026-01-02T11:00:00Z") == {}
    [row] = ask(client, as_of=TWELVE, known_at=known)["data"]
    assert row["updated_at"] == plain(datetime.fromisoformat(known))
    detail = ask(client, "/data/bitcoin", as_of=TWELVE, known_at=known)["data"]
    assert [each["price_usd"] for each in detail["listings"]] == [1]


# --- walks ---------------------------------------------------------------------------------------


def test_a_walk_through_the_past_shows_what_there_was_when_it_began(engine, client):
    coins = [market(f"coin-{n}", f"c{n}", f"Coin {n}", n, TEN, market_cap=n) for n in range(9)]
    load(engine, COINGECKO, *coins)
    query = {"as_of": TWELVE, "page_size": 2, "sort": "-market_cap_usd"}
    at_first = ask(client, **{**query, "page_size": 100})["data"]
    page = ask(client, **query)
    seen, cursor = page["data"], page["meta"]["next_cursor"]
    number = 0

    while cursor:
        number += 1
        late = [
            market(f"coin-{n}", f"c{n}", f"Coin {n}", 99, ELEVEN, market_cap=100 - n + number)
            for n in range(9)
        ]
        load(engine, COINGECKO, *late, market(f"late-{number}", "l", f"Late {number}", 1, TEN))
        load(engine, COINPAPRIKA, ticker(f"late-{number}", "L", f"Paprika {number}", 1, TEN))
        page = ask(client, **query, cursor=cursor)
        assert page["meta"]["total"] == 9
        seen, cursor = seen + page["data"], page["meta"]["next_cursor"]

    assert seen == at_first
    assert ask(client, **query)["meta"]["total"] == 9 + 2 * number


def test_a_cursor_belongs_to_its_time(engine, client):
    load(engine, COINGECKO, bitcoin(1, TEN), dogecoin(7, TEN))
    cursor = ask(client, as_of=ELEVEN, page_size=1)["meta"]["next_cursor"]

    for query in ({}, {"as_of": TWELVE}, {"as_of": ELEVEN, "known_at": TWELVE}):
        refused = client.get("/data", query_string={**query, "cursor": cursor})
        assert refused.status_code == 400
        assert [error["parameter"] for error in refused.json["errors"]] == ["cursor"]
    same = "2026-01-02T12:00:00+01:00"
    assert ask(client, as_of=same, page_size=1, cursor=cursor)["meta"]["count"] == 1


# --- answers of other kinds ----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/data", "/data/export", "/data/bitcoin"])
@pytest.mark.parametrize("name", ["as_of", "known_at"])
@pytest.mark.parametrize("value", ["2999-01-01T00:00:00Z", "yesterday", "2026-01-02", "", "0000"])
def test_a_time_that_is_none_or_has_not_come_is_named(client, path, name, value):
    answer = client.get(path, query_string={name: value})

    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json["errors"]] == [name]


def test_the_first_and_the_last_time_of_the_calendar(engine, client):
    load(engine, COINGECKO, bitcoin(1, TEN))

    assert prices(client, as_of="0001-01-01T00:00:00Z") == {}
    assert prices(client, as_of=TWELVE, known_at="0001-01-01T00:00:00Z") == {}


@pytest.mark.parametrize(
    ("name", "value"), [("sort", "version"), ("min_version", "1"), ("max_version", "1")]
)
@MOMENTS
def test_there_are_no_versions_of_the_past(client, name, value, moments):
    answer = client.get("/data", query_string={**dict.fromkeys(moments, TEN), name: value})

    assert answer.status_code == 400
    [error] = answer.json["errors"]
    assert error["parameter"] == name
    assert error["detail"].endswith(f"; ask without {' and '.join(moments)}")


@MOMENTS
def test_an_asset_that_was_not_observed_by_then_is_not_found(engine, client, moments):
    load(engine, COINGECKO, bitcoin(1, TEN))

    then = dict.fromkeys(moments, "2026-01-01T00:00:00Z")
    not_yet = client.get("/data/bitcoin", query_string=then)
    never = client.get("/data/nothing", query_string={"as_of": TEN})

    assert (not_yet.status_code, never.status_code) == (404, 404)
    assert not_yet.json["code"] == never.json["code"] == "asset_not_found"
    assert f"by then; without {' and '.join(moments)} it is" in not_yet.json["detail"]
    assert "by then" not in never.json["detail"]


@pytest.mark.parametrize("path", ["/data", "/data/bitcoin"])
def test_an_answer_is_another_one_only_when_what_it_shows_is(engine, reader_url, path):
    load(engine, COINGECKO, bitcoin(1, TEN), dogecoin(3, TEN))
    query = {"as_of": ELEVEN} if path != "/data" else {"as_of": ELEVEN, "page_size": 1}
    with api_on(reader_url) as client:

        def tag():
            answer = client.get(path, query_string=query)
            assert "Last-Modified" not in answer.headers
            return answer.headers["ETag"]

        first = tag()
        load(engine, COINGECKO, bitcoin(2, TWELVE), market("later", "l", "Later", 1, TWELVE))
        with api_on(reader_url) as fresh:
            again = fresh.get(path, query_string=query, headers={"If-None-Match": first})
        assert again.status_code == 304

        load(engine, COINGECKO, bitcoin("1.25", "2026-01-02T10:30:00Z"))
        with api_on(reader_url) as fresh:
            late = fresh.get(path, query_string=query, headers={"If-None-Match": first})
        assert late.status_code == 200
        assert late.headers["ETag"] != first


def test_the_past_is_looked_up_and_not_read_through(engine, client, conn):
    many = 400
    for number in range(20):
        listing = add_listing(conn, add_asset(conn, f"coin-{number}"), "csv", f"c-{number}")
        conn.execute(
            insert(observations),
            [
                {
                    "listing_id": listing,
                    "observed_at": NOON - timedelta(minutes=5 * each),
                    "ingested_at": NOON,
                    "run_id": 1,
                    "payload_hash": b"x" * 16,
                    "price_usd": Decimal(each),
                }
                for each in range(many)
            ],
        )
    add_observation(conn, listing, observed_at=NOON, price_usd=1)
    conn.exec_driver_sql("VACUUM ANALYZE")

    for as_of in (NOON, NOON - timedelta(minutes=5 * many // 2)):
        rows, _ = read_by(engine, client, "/data", {"as_of": as_of.isoformat()})
        assert 20 <= rows < 20 * 8  # of 8000
