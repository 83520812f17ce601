"""Answers that the client has already, and answers that are kept: never older than the data."""

import itertools
import logging
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from sqlalchemy import event, insert, select, text, update

from shared.embedded import EmbeddedPostgres
from shared.tables import RAW, asset_version, assets, dataset
from tests.fakes.api import add_asset, add_run, api_on
from tests.fakes.batches import COINGECKO, LATER, load, market
from tests.fakes.databases import engine_on
from tests.fakes.gunicorn import until
from worker.migrate import upgrade
from worker.prune import prune

PATHS = ("/data?page_size=2", "/data?format=csv", "/data/asset-1", "/changes", "/data/export")
KEPT = ("/data?page_size=2", "/data?format=csv", "/changes?since=1")
NEXT_VERSION = asset_version.next_value()


@pytest.fixture
def market_of_five(conn):
    for number in range(5):
        add_asset(conn, f"asset-{number}", market_cap_usd=5 - number)


def change(conn, slug="asset-1", price=2):
    stmt = update(assets).where(assets.c.slug == slug)
    conn.execute(stmt.values(price_usd=price, version=NEXT_VERSION))


def watch_of(client):
    return client.application.extensions["database"].watch


def kept_from_now_on(client):
    """Return once the application hears of changes, and so keeps its answers."""
    until(lambda: watch_of(client).mark() is not None)


@contextmanager
def statements(client):
    """Note the statements that read assets."""
    ran = []

    def note(_conn, _cursor, statement, *_):
        if "assets" in statement:
            ran.append(statement)

    engine = client.application.extensions["database"].engine
    event.listen(engine, "before_cursor_execute", note)
    yield ran
    event.remove(engine, "before_cursor_execute", note)


def next_second():
    """Return in another second than that of the call."""
    now = int(time.time())
    until(lambda: int(time.time()) != now)


@pytest.mark.usefixtures("market_of_five")
def test_the_etag_is_the_same_in_every_process(reader_url):
    with api_on(reader_url) as one:
        etags = {path: one.get(path).headers["ETag"] for path in PATHS}
    next_second()
    with api_on(reader_url, API_CACHE_MB="0") as other:
        assert {path: other.get(path).headers["ETag"] for path in PATHS} == etags
    assert len(set(etags.values())) == len(etags)


@pytest.mark.usefixtures("market_of_five")
def test_the_etag_is_another_when_what_is_shown_is(reader_url, conn):
    with api_on(reader_url, API_CACHE_MB="0") as client:
        before = {path: client.get(path).headers["ETag"] for path in PATHS}
        change(conn)
        after = {path: client.get(path).headers["ETag"] for path in PATHS}

    assert all(before[path] != after[path] for path in PATHS)


@pytest.mark.usefixtures("market_of_five")
def test_a_client_that_has_the_answer_is_told_so(client):
    for path in PATHS:
        whole = client.get(path)
        etag = whole.headers["ETag"]
        opaque = etag.removeprefix("W/")
        for given in (etag, opaque, f"W/{opaque}", f'"a", {etag}, W/"b"', "*"):
            for ask in (client.get, client.head):
                answer = ask(path, headers={"If-None-Match": given})
                assert answer.status_code == 304, (path, given)
                assert answer.get_data() == b""
                for name in ("ETag", "Cache-Control", "Vary"):
                    assert answer.headers[name] == whole.headers[name]
                assert not {"Content-Type", "Content-Length"} & set(answer.headers.keys())
        for given in ('"a"', f'"{opaque}"', opaque.strip('"')[:-1], "", ","):
            assert client.get(path, headers={"If-None-Match": given}).status_code == 200


@pytest.mark.usefixtures("market_of_five")
def test_head_has_the_headers_and_no_body(client):
    for path in PATHS:
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.get_data()) == (200, b"")
        for name in ("ETag", "Cache-Control", "Content-Type", "Vary"):
            assert head.headers[name] == whole.headers[name], (path, name)
        assert head.headers.get("Last-Modified") == whole.headers.get("Last-Modified")


@pytest.mark.usefixtures("market_of_five")
def test_an_asset_has_no_time_for_its_listings_change_without_it(client):
    assert "Last-Modified" not in client.get("/data/asset-1").headers


def since(moment):
    return {"If-Modified-Since": format_datetime(moment.replace(microsecond=0), usegmt=True)}


@pytest.mark.usefixtures("market_of_five")
def test_a_time_tells_once_the_data_has_been_what_it_is_for_a_minute(reader_url, conn):
    changed = datetime.now(UTC) - timedelta(seconds=90)
    conn.execute(update(dataset).values(changed_at=changed))
    with api_on(reader_url, API_CACHE_MB="0") as client:
        for path in KEPT:
            told = parsedate_to_datetime(client.get(path).headers["Last-Modified"])
            assert told == changed.replace(microsecond=0)
            assert client.get(path, headers=since(told)).status_code == 304
            assert client.get(path, headers=since(told + timedelta(days=1))).status_code == 304
            assert client.get(path, headers=since(told - timedelta(seconds=1))).status_code == 200
            other = {**since(told), "If-None-Match": '"another"'}
            assert client.get(path, headers=other).status_code == 200
            assert client.get(path, headers={"If-Modified-Since": "soon"}).status_code == 200


@pytest.mark.usefixtures("market_of_five")
def test_a_time_tells_nothing_within_the_minute_of_a_change(reader_url, conn):
    changed = datetime.now(UTC)
    conn.execute(update(dataset).values(changed_at=changed))
    with api_on(reader_url, API_CACHE_MB="0") as client:
        told = parsedate_to_datetime(client.get("/data").headers["Last-Modified"])
        # Whoever sees this time in a minute from now is not told that nothing changed.
        assert told < changed.replace(microsecond=0)
        assert client.get("/data", headers=since(changed)).status_code == 200


def test_an_empty_database_has_no_time_of_change(client):
    answer = client.get("/data")

    assert answer.status_code == 200
    assert "Last-Modified" not in answer.headers
    assert client.get("/data", headers=since(datetime.now(UTC))).status_code == 200


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
    assert any("watch for changes broke off" in record.message for record in caplog.records)


def test_a_kept_payload_goes_when_its_raw_record_is_pruned(client, engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin", 1, "2019-07-01T12:00:00Z"))
    kept_from_now_on(client)
    assert client.get("/data/bitcoin/raw").status_code == 200

    assert len(list(prune(engine, "coingecko", timedelta(days=365), None))) == 1

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
    [record] = [each for each in caplog.records if each.message == "answers are not kept"]
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


@pytest.mark.parametrize(
    ("seconds", "told"),
    [("300", "max-age=15"), ("100000", "max-age=60"), ("19", "max-age=0"), ("1200", "max-age=60")],
)
def test_clients_keep_an_answer_for_a_part_of_the_workers_interval(reader_url, seconds, told):
    with api_on(reader_url, RUN_INTERVAL_SECONDS=seconds) as client:
        for path in ("/data", "/changes", "/data/export"):
            header = client.get(path).headers["Cache-Control"]
            assert header.split(", ") == ["public", told, "must-revalidate"]


def test_errors_are_kept_by_nobody(client):
    for path in ("/data?sort=x", "/data/nope", "/changes?since=99"):
        answer = client.get(path)
        assert answer.status_code >= 400
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


def stale(reader_url):
    """Ask an application that judges the sources anew."""
    with api_on(reader_url, SOURCES="coingecko") as client:
        answers = [client.get("/data"), client.get("/data?format=csv"), client.get("/changes")]
    names = answers[0].json["meta"]["stale_sources"]
    assert answers[2].json["meta"]["stale_sources"] == names
    assert answers[1].headers.get("X-Stale-Sources", "") == ", ".join(names)
    return names, answers[0].headers["ETag"]


def test_meta_names_the_sources_that_are_stale(conn, reader_url):
    now = datetime.now(UTC)
    raw = RAW["coingecko"]
    record = {"external_id": "x", "payload_hash": b"x", "payload": {}, "run_id": 1}
    never, etag = stale(reader_url)
    assert never == ["coingecko"]

    add_run(conn, started_at=now - timedelta(days=2), finished_at=now - timedelta(days=2))
    assert stale(reader_url) == (["coingecko"], etag)  # late

    add_run(conn, started_at=now, finished_at=now)
    conn.execute(insert(raw).values(observed_at=now - timedelta(days=2), **record))
    assert stale(reader_url) == (["coingecko"], etag)  # outdated

    conn.execute(insert(raw).values(observed_at=now, **record))
    fresh, other_etag = stale(reader_url)
    assert fresh == []
    assert other_etag != etag

    add_run(conn, outcome="failed", reason="timeout", started_at=now, finished_at=now)
    assert stale(reader_url) == ([], other_etag)  # its data is good still


def test_the_versions_of_the_data_rise_with_each_commit_in_every_answer(client, conn):
    told = []
    for number in range(3):
        add_asset(conn, f"asset-{number}")
        version = conn.scalar(select(dataset.c.version))
        until(lambda version=version: client.get("/data").json["meta"]["version"] == version)
        told.append(version)

    assert told == sorted(set(told))
    page = client.get("/data").json
    assert max(asset["version"] for asset in page["data"]) == page["meta"]["version"]
    assert client.get("/data/asset-2").json["meta"]["version"] == told[-1]
    assert client.get("/changes").json["meta"]["version"] == told[-1]
