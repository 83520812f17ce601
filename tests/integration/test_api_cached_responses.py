"""Responses that the API caches: never older than the data."""

import itertools
import logging

import pytest
from sqlalchemy import text

from shared.embedded.server import EmbeddedPostgres
from tests.fakes.api import add_asset, api_on
from tests.fakes.api_cache import change, kept_from_now_on, statements, watch_of
from tests.fakes.batches import COINGECKO, LATER, load, market
from tests.fakes.databases import engine_on
from tests.fakes.gunicorn import until
from tests.fakes.retention import SINCE_2020, retention_from
from worker.maintenance.migrate import upgrade
from worker.maintenance.prune.records import prune

KEPT = ("/data?page_size=2", "/data?format=csv", "/changes?since=1")


@pytest.fixture
def market_of_five(conn):
    for number in range(5):
        add_asset(conn, f"asset-{number}", market_cap_usd=5 - number)


@pytest.mark.usefixtures("market_of_five")
def test_a_repeated_request_is_not_computed_again_while_nothing_changed(client):
    kept_from_now_on(client)
    first = {path: client.get(path) for path in KEPT}

    with statements(client) as ran:
        for path in KEPT:
            again = client.get(path)
            assert again.headers["ETag"] == first[path].headers["ETag"]
            etag = {"If-None-Match": again.headers["ETag"]}
            assert client.get(path, headers=etag).status_code == 304
            assert client.head(path).status_code == 200
    assert ran == []

    with statements(client) as ran:
        client.get("/data?page_size=3")
    assert len(ran) == 1


@pytest.mark.usefixtures("market_of_five")
def test_each_answer_that_is_kept_has_what_is_of_its_own_request(client):
    kept_from_now_on(client)

    one = client.get("/data", headers={"X-Request-Id": "one"}).json
    two = client.get("/data", headers={"X-Request-Id": "two"}).json

    assert (one["meta"].pop("request_id"), two["meta"].pop("request_id")) == ("one", "two")
    for document in (one, two):
        assert document["meta"].pop("api_latency_ms") > 0
    assert one == two


@pytest.mark.usefixtures("market_of_five")
def test_nothing_is_kept_where_that_is_switched_off(reader_url):
    with api_on(reader_url, API_CACHE_MB="0") as client, statements(client) as ran:
        client.get("/data?source=csv")
        before = len(ran)
        client.get("/data?source=csv")
        assert len(ran) == 2 * before > 0


def test_what_the_worker_commits_is_seen_moments_later(engine, client):
    kept_from_now_on(client)
    for price in range(1, 6):
        at = LATER.replace("05", f"{price + 10}")
        load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", price, at))
        until(lambda price=price: shows(client, price))
        with statements(client) as ran:
            assert shows(client, price)
            assert shows(client, price)
        assert len(ran) <= 4  # the runs of another session may be told of a moment later


def shows(client, price):
    page = client.get("/data").json["data"]
    return bool(page) and page[0]["price_usd"] == price


END_THE_WATCH = text(
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'kasparro-api'"
)


@pytest.mark.usefixtures("market_of_five")
def test_while_nobody_listens_nothing_kept_is_shown(
    client, conn, engine, maintenance_engine, caplog
):
    """The session that listens ends, and it cannot come back while the data changes."""
    kept_from_now_on(client)
    client.get("/data/asset-1")
    before = watch_of(client).mark()
    name = engine.url.database
    with caplog.at_level(logging.INFO), maintenance_engine.connect() as owner:
        owner.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
        conn.execute(END_THE_WATCH)
        until(lambda: watch_of(client).mark() is None)
        change(conn, price=7)
        owner.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))

    until(lambda: client.get("/health/ready").status_code == 200)
    assert client.get("/data/asset-1").json["data"]["price_usd"] == 7
    kept_from_now_on(client)
    assert client.get("/data/asset-1").json["data"]["price_usd"] == 7
    assert watch_of(client).mark() > before
    assert any("listener lost its connection" in record.message for record in caplog.records)


def test_a_kept_payload_goes_when_its_raw_record_is_pruned(client, engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, "2019-07-01T12:00:00Z"))
    kept_from_now_on(client)
    assert client.get("/data/bitcoin/raw").status_code == 200

    assert len(list(prune(engine, "coingecko", retention_from(SINCE_2020), None))) == 1

    until(lambda: client.get("/data/bitcoin/raw").status_code == 404)


@pytest.mark.usefixtures("market_of_five")
def test_where_changes_are_not_notified_nothing_is_kept_for_long(client, conn, caplog):
    """As behind a pooler of transactions, which takes LISTEN and delivers nothing."""
    conn.execute(text("ALTER TABLE assets DISABLE TRIGGER notify_readers"))
    kept_from_now_on(client)
    client.get("/data/asset-1")

    with caplog.at_level(logging.WARNING):
        change(conn, price=7)
        until(lambda: client.get("/data/asset-1").json["data"]["price_usd"] == 7)
        until(lambda: watch_of(client).mark() is None)

    for price in (8, 9):
        change(conn, price=price)
        assert client.get("/data/asset-1").json["data"]["price_usd"] == price
    [record] = [each for each in caplog.records if each.message == "responses are not cached"]
    assert "not notified" in record.reason


def test_on_a_standby_which_has_no_notifications_nothing_is_kept(project, caplog):
    postgres = EmbeddedPostgres(project, options={"wal_level": "replica", "fsync": "off"})
    with postgres.running() as server:
        upgrade(server.url)
        with engine_on(server.url) as owner, owner.begin() as conn:
            add_asset(conn, "bitcoin")
    (server.data / "standby.signal").touch()

    with (
        postgres.running() as standby,
        api_on(standby.reader_url) as client,
        caplog.at_level(logging.WARNING),
    ):
        for _ in range(2):
            with statements(client) as ran:
                assert client.get("/data").json["meta"]["total"] == 1
            assert len(ran) > 0
            until(lambda: [each for each in caplog.records if "standby" in str(vars(each))])
        assert watch_of(client).mark() is None


@pytest.mark.usefixtures("market_of_five")
def test_what_is_kept_takes_no_more_memory_than_it_may(reader_url, conn):
    conn.execute(
        text(
            "INSERT INTO assets (slug, symbol, name) "
            "SELECT 'a-' || n, 'S', repeat('x', 300) FROM generate_series(1, 1000) AS n"
        )
    )
    whole = "/data?page_size=1000"  # too large
    large = f"{whole}&fields=slug,name"  # more than half of a megabyte, compressed form included
    with api_on(reader_url, API_CACHE_MB="1") as client:
        kept_from_now_on(client)
        asked = [
            large,
            large,
            f"{large}&sort=name",
            f"{large}&sort=name",
            large,
            whole,
            large,
            whole,
        ]
        with statements(client) as ran:
            counts = [0]
            for path in asked:
                assert client.get(path).status_code == 200
                counts.append(len(ran))

    made = [after > before for before, after in itertools.pairwise(counts)]
    assert made == [True, False, True, False, True, True, False, True]
