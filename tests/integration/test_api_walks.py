"""Walks through the pages of `/data` during writes: each asset once, as it was at first."""

import threading
from decimal import Decimal

import pytest
from sqlalchemy import delete, func, select, update

from api.queries.assets.columns import ASSET_COLUMNS
from shared.schema.market import asset_version, assets, dataset
from tests.fakes.api import UNCACHED, add_asset, add_listing, api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, LATER, load, market, ticker
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.gunicorn import until
from tests.fakes.processes import environ, run_worker
from tests.fakes.reference import expected, follow, plain, read_assets, slugs
from tests.fakes.upstream import Upstream
from tests.fakes.walks import start

API_SETTINGS = UNCACHED

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
        worker, walks = WarmWorker("run --once", settings, tmp_path), []
        with worker:
            while worker.poll() is None:
                walks.append(follow(client, **query))
            assert worker.returncode == 0, worker.err

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

    with api_on(reader_url, **UNCACHED) as other:
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
