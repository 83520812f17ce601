"""Conditional requests: ETags, times of change, and the versions of the data."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from sqlalchemy import insert, select, update

from shared.schema.market import dataset
from shared.schema.raw import RAW
from tests.fakes.api import add_asset, add_run, api_on
from tests.fakes.api_cache import change
from tests.fakes.databases import make_room
from tests.fakes.gunicorn import until

TRENDS = "/trends?assets=asset-1,asset-2"
PATHS = (
    "/data?page_size=2",
    "/data?format=csv",
    "/data/asset-1",
    "/changes",
    "/data/export",
    TRENDS,
)
KEPT = ("/data?page_size=2", "/data?format=csv", "/changes?since=1")


@pytest.fixture
def market_of_five(conn):
    for number in range(5):
        add_asset(conn, f"asset-{number}", market_cap_usd=5 - number)


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


def test_meta_names_the_sources_that_are_stale(engine, conn, reader_url):
    now = datetime.now(UTC)
    raw = RAW["coingecko"]
    make_room(engine.url, now - timedelta(days=2))
    record = {"external_id": "x", "payload_hash": b"x", "payload": {}, "run_id": 1}
    assert stale(reader_url)[0] == []  # it never ran, and has nothing that could be old

    add_run(conn, started_at=now - timedelta(days=2), finished_at=now - timedelta(days=2))
    late, etag = stale(reader_url)
    assert late == ["coingecko"]

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
