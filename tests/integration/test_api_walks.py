"""Walks through the pages of `/data` while somebody writes: each asset once, as it was at first."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import delete, func, insert, select, text, update

from api.columns import ASSET_COLUMNS
from shared.tables import (
    asset_history,
    asset_version,
    assets,
    dataset,
    removed_assets,
)
from tests.fakes.api import add_asset, add_listing, api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, LATER, load, market, ticker
from tests.fakes.gunicorn import until
from tests.fakes.plans import read_by
from tests.fakes.processes import environ, run_worker, start_worker
from tests.fakes.reference import expected, follow, plain, read_assets, slugs
from tests.fakes.upstream import Upstream

AN_HOUR = timedelta(hours=1)
NOTHING_KEPT = {"API_CACHE_MB": "0"}
NEXT_VERSION = asset_version.next_value()

# What the worker's batches do to assets: a new version with every change.
CHANGE = (
    update(assets)
    .where(assets.c.id % 7 == func.floor(func.random() * 7))
    .values(
        market_cap_usd=func.round(func.random().cast(assets.c.price_usd.type) * 10),
        price_usd=func.random() * 100,
        name=func.upper(func.left(assets.c.name, 20)),
        version=NEXT_VERSION,
        updated_at=func.clock_timestamp(),
    )
)
REMOVE = delete(assets).where(
    assets.c.id.in_(
        select(assets.c.id).where(assets.c.slug.not_like("stays%")).order_by(func.random()).limit(2)
    )
)


@pytest.fixture
def client(reader_url):
    with api_on(reader_url, **NOTHING_KEPT) as client:
        yield client


def rows_of(conn, table):
    return conn.execute(select(table).order_by(table.c.version)).mappings().all()


def start(client, **query):
    """Ask for the first page of a walk; return the parameters that ask for the second."""
    page = client.get("/data", query_string=query).json
    return {**query, "cursor": page["meta"]["next_cursor"]}


class Writer:
    """Changes, removes and adds assets in a thread, and knows how all were at each version."""

    def __init__(self, engine):
        self.engine = engine
        self.snapshots = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        with self.engine.begin() as conn:
            for number in range(40):
                kind = "stays" if number % 2 else "goes"
                add_asset(
                    conn, f"{kind}-{number}", name=f"coin {number}", market_cap_usd=number % 9
                )
            self.look(conn)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def look(self, conn):
        version = conn.scalar(select(func.max(dataset.c.version)))
        self.snapshots[version] = read_assets(conn)

    def run(self):
        number = 0
        while not self.over.is_set():
            number += 1
            with self.engine.begin() as conn:
                conn.execute(CHANGE)
                if number % 3 == 0:
                    conn.execute(REMOVE)
                    add_asset(conn, f"came-{number}", name="new coin", market_cap_usd=number % 9)
                if number % 4 == 0:
                    conn.execute(CHANGE)
                self.look(conn)

    def wait(self):
        """Return once something was committed since the call."""
        before = len(self.snapshots)
        until(lambda: len(self.snapshots) > before + 1)


@pytest.mark.parametrize("sort", ["-market_cap_usd", "-updated_at,name", "price_usd", "version"])
@pytest.mark.parametrize("search", [{}, {"q": "COIN", "max_market_cap_usd": "8"}])
def test_every_page_shows_the_assets_as_they_were_at_the_first(engine, client, sort, search):
    query = {"sort": sort, "decimals": "string", "page_size": 7, **search}
    with Writer(engine) as writer:
        pages = [client.get("/data", query_string=query).json]
        while pages[-1]["meta"]["next_cursor"]:
            writer.wait()
            cursor = pages[-1]["meta"]["next_cursor"]
            pages.append(client.get("/data", query_string={**query, "cursor": cursor}).json)

    [version] = {page["meta"]["version"] for page in pages}
    rows = {row["slug"]: row for row in writer.snapshots[version]}
    assert slugs(pages) == expected(list(rows.values()), query)
    assert {page["meta"]["total"] for page in pages} == {len(slugs(pages))}
    assert len(slugs(pages)) > 14
    not_text = {"source_count", "divergent", "version", "active"}
    for asset in (asset for page in pages for asset in page["data"]):
        shown = {k: plain(v) if k in not_text else v for k, v in asset.items()}
        assert shown == {name: plain(rows[asset["slug"]][name]) for name in ASSET_COLUMNS}


def test_walks_beside_a_worker_at_work_meet_every_asset_once_and_in_order(
    database_url, client, tmp_path
):
    query = {"page_size": 9, "decimals": "string"}
    with Upstream(assets=150) as upstream:
        settings = environ(database_url, upstream, SOURCES="coingecko,coinpaprika", BATCH_SIZE=10)
        assert run_worker("run --once", settings, tmp_path).returncode == 0
        there = set(slugs(follow(client, **query)))
        upstream.market.tick()
        worker, walks = start_worker("run --once", settings, tmp_path), []
        with worker:
            while worker.poll() is None:
                walks.append(follow(client, **query))
            assert worker.returncode == 0, worker.stderr.read()

    for pages in walks:
        seen = slugs(pages)
        assert len(set(seen)) == len(seen) == pages[0]["meta"]["total"]
        assert set(seen) == there
        caps = [asset["market_cap_usd"] for page in pages for asset in page["data"]]
        known = [Decimal(cap) for cap in caps if cap is not None]
        assert known == sorted(known, reverse=True)
        assert caps[len(known) :] == [None] * (len(caps) - len(known))
        assert len({page["meta"]["version"] for page in pages}) == 1
    # The worker wrote during these walks: they began at different versions.
    assert len({pages[0]["meta"]["version"] for pages in walks}) > 2


def test_a_walk_goes_on_in_another_process(reader_url, client, conn):
    for number in range(9):
        add_asset(conn, f"asset-{number}", market_cap_usd=number)
    before = slugs(follow(client))

    with api_on(reader_url, **NOTHING_KEPT) as other:
        pages, query = [client.get("/data?page_size=2").json], {"page_size": 3}
        while cursor := pages[-1]["meta"]["next_cursor"]:
            conn.execute(update(assets).values(market_cap_usd=0, version=NEXT_VERSION))
            asked = other if len(pages) % 2 else client
            pages.append(asked.get("/data", query_string={**query, "cursor": cursor}).json)

    assert slugs(pages) == before


def test_a_merge_in_the_middle_of_a_walk_does_not_show_in_it(engine, client):
    load(engine, COINGECKO, *(market(f"c-{n}", f"s{n}", f"Coin {n}") for n in range(4)))
    load(engine, COINPAPRIKA, ticker("p-1", "S1X", "Coin 1"))
    query = start(client, page_size=1, sort="-slug")
    before = slugs(follow(client, sort="-slug"))

    load(engine, COINPAPRIKA, ticker("p-1", "S1", "Coin 1", at=LATER))

    rest = client.get("/data", query_string={**query, "page_size": 100}).json
    assert slugs([rest]) == before[1:]
    assert len(slugs(follow(client))) == len(before) - 1


def test_what_is_replaced_is_kept_with_what_replaced_it(engine):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin", price_usd=Decimal("1.50"))
        old = read_assets(conn)[0]
    with engine.begin() as conn:
        conn.execute(update(assets).values(price_usd=2, version=NEXT_VERSION))
        [new] = read_assets(conn)
        [kept] = rows_of(conn, asset_history)

    assert {name: kept[name] for name in ASSET_COLUMNS} == {
        name: old[name] for name in ASSET_COLUMNS
    }
    assert (kept["id"], kept["replaced_by"]) == (old["id"], new["version"])


def test_what_nobody_saw_is_not_kept(engine):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin")
        conn.execute(update(assets).values(price_usd=2, version=NEXT_VERSION))
        add_asset(conn, "ether")
        conn.execute(delete(assets).where(assets.c.slug == "ether"))

    with engine.begin() as conn:
        assert rows_of(conn, asset_history) == []
        conn.execute(update(assets).values(slug="btc"))
        assert rows_of(conn, asset_history) == []
        conn.execute(update(assets).values(price_usd=3, version=NEXT_VERSION))
        conn.execute(update(assets).values(price_usd=4, version=NEXT_VERSION))
        versions = [(row["version"], row["replaced_by"]) for row in rows_of(conn, asset_history)]
        assert len(versions) == 2
        assert versions[0][1] == versions[1][0]


def test_a_removed_asset_leaves_its_name_a_version_and_what_it_was(conn):
    for slug in ("bitcoin", "ether"):
        add_asset(conn, slug)

    conn.execute(delete(assets).where(assets.c.slug == "bitcoin"))

    [tombstone] = rows_of(conn, removed_assets)
    [kept] = rows_of(conn, asset_history)
    assert (tombstone["slug"], tombstone["version"]) == ("bitcoin", 3)
    assert (kept["slug"], kept["version"], kept["replaced_by"]) == ("bitcoin", 1, 3)


def age(conn, by):
    """Let time go by, for what was replaced and for when that was last looked through."""
    conn.execute(update(asset_history).values(replaced_at=asset_history.c.replaced_at - by))
    conn.execute(update(dataset).values(pruned_at=dataset.c.pruned_at - by))


def change(conn, slug):
    stmt = update(assets).where(assets.c.slug == slug)
    conn.execute(stmt.values(price_usd=func.random(), version=NEXT_VERSION))


def test_what_was_replaced_over_an_hour_ago_is_forgotten_with_the_next_change(conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}")
    change(conn, "asset-0")
    age(conn, AN_HOUR + timedelta(seconds=1))
    change(conn, "asset-1")
    age(conn, AN_HOUR - timedelta(minutes=1))

    change(conn, "asset-2")

    assert [row["slug"] for row in rows_of(conn, asset_history)] == ["asset-1", "asset-2"]


def test_what_is_old_is_looked_for_every_few_minutes(conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}")
    change(conn, "asset-0")
    age(conn, AN_HOUR + timedelta(seconds=1))
    change(conn, "asset-1")  # looks, and forgets
    age(conn, timedelta(minutes=4))
    conn.execute(update(asset_history).values(replaced_at=func.now() - 2 * AN_HOUR))

    change(conn, "asset-2")
    assert [row["slug"] for row in rows_of(conn, asset_history)] == ["asset-1", "asset-2"]

    age(conn, timedelta(minutes=2))
    change(conn, "asset-0")
    assert [row["slug"] for row in rows_of(conn, asset_history)] == ["asset-2", "asset-0"]


def test_a_cursor_expires_when_what_its_walk_shows_is_forgotten_and_not_before(client, conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}")
    old = start(client, page_size=1)
    change(conn, "asset-0")
    young = start(client, page_size=1)
    age(conn, AN_HOUR + timedelta(days=1))
    for query in (old, young):
        assert client.get("/data", query_string=query).status_code == 200

    change(conn, "asset-1")

    expired = client.get("/data", query_string=old)
    assert (expired.status_code, expired.json["code"]) == (410, "cursor_expired")
    assert expired.content_type == "application/problem+json"
    assert "again" in expired.json["detail"]
    page = client.get("/data", query_string=young).json
    assert page["data"][0]["slug"] == "asset-1"
    assert page["data"][0]["price_usd"] is None


def test_a_cursor_lasts_while_nothing_changes_however_old_it_is(client, conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}")
    change(conn, "asset-0")
    query = start(client, page_size=2)
    age(conn, timedelta(days=1))

    assert slugs([client.get("/data", query_string=query).json]) == ["asset-2"]


def test_a_walk_of_a_source_shows_what_it_listed_then(client, conn):
    ids = [add_asset(conn, f"asset-{number}", market_cap_usd=-number) for number in range(5)]
    for number in range(4):
        add_listing(conn, ids[number], "csv", str(number))
    query = start(client, page_size=1, source="csv")
    becomes = update(assets).values(version=NEXT_VERSION)
    conn.execute(becomes.where(assets.c.slug == "asset-4").values(sources=["csv"]))
    conn.execute(becomes.where(assets.c.slug == "asset-2").values(sources=["coingecko"]))

    rest = client.get("/data", query_string={**query, "page_size": 10}).json

    assert slugs([rest]) == ["asset-1", "asset-2", "asset-3"]
    assert rest["meta"]["total"] == 4
    now = client.get("/data?source=csv").json
    assert slugs([now]) == ["asset-0", "asset-1", "asset-3", "asset-4"]


def test_a_cursor_of_data_that_is_not_here_yet_waits(client, conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}")
    query = start(client, page_size=1)
    conn.execute(update(dataset).values(version=dataset.c.version - 1))

    refused = client.get("/data", query_string=query)

    assert (refused.status_code, refused.json["code"]) == (503, "data_behind")
    assert refused.headers["Retry-After"] == "1"


# How much is read.

BULK = text(
    "INSERT INTO assets (slug, symbol, name, market_cap_usd, price_usd) "
    "SELECT 'asset-' || n, 'S' || n % 5000, 'Name ' || n, "
    "       CASE WHEN n % 10 > 0 THEN n * 7919 % 15000 END, n FROM generate_series(1, 20000) AS n"
)


@pytest.fixture
def many(engine):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(BULK)
        conn.execute(text("VACUUM ANALYZE assets"))
        yield conn


def deep(client, **query):
    """Ask for a page that starts after almost all assets."""
    cursor = {
        "cursor": client.get("/data", query_string={**query, "page_size": 1}).json["meta"][
            "next_cursor"
        ]
    }
    for page_size in (1000,) * 17:
        page = client.get("/data", query_string={**query, **cursor, "page_size": page_size}).json
        cursor = {"cursor": page["meta"]["next_cursor"]}
    return {**query, **cursor}


@pytest.mark.usefixtures("many")
def test_a_deep_page_reads_no_more_than_the_first(engine, client):
    query = {"page_size": 100}
    client.get("/data")  # which counts all assets, once for each version
    first = read_by(engine, client, "/data", query)
    last = read_by(engine, client, "/data", deep(client, **query))

    assert first[0] < 300
    assert last[0] <= first[0] * 2
    assert last[1] <= first[1] * 2


def test_a_deep_page_of_a_walk_that_was_overtaken_reads_no_more_than_its_second(
    engine, client, many
):
    query = {"page_size": 100}
    second, last = start(client, **query), deep(client, **query)
    many.execute(
        update(assets).where(assets.c.id % 100 == 0).values(price_usd=0, version=NEXT_VERSION)
    )
    many.execute(text("ANALYZE asset_history"))

    shallow, far = (read_by(engine, client, "/data", each) for each in (second, last))

    assert far[0] <= shallow[0] * 2
    assert far[1] <= shallow[1] * 2
    assert far[0] < 20_000


def test_the_first_page_counts_all_assets_once_for_each_version(engine, client, many):
    query = {"page_size": 100}
    assert read_by(engine, client, "/data", query)[0] > 20_000
    assert read_by(engine, client, "/data", query)[0] < 300

    many.execute(insert(assets).values(slug="new", symbol="N", name="New"))

    assert read_by(engine, client, "/data", query)[0] > 20_000
    assert client.get("/data").json["meta"]["total"] == 20_001
