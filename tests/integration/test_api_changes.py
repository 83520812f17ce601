"""`GET /changes`: who follows it has the same as `/data`, whatever happens meanwhile."""

import json
import random

import pytest
from sqlalchemy import delete, select, text, update

from shared.schema.market import asset_version, assets, dataset
from tests.fakes.api import UNCACHED, add_asset, api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, LATER, load, market, row, ticker
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.gunicorn import until
from tests.fakes.plans import read_by
from tests.fakes.processes import environ, run_worker
from tests.fakes.reference import follow
from tests.fakes.upstream import Upstream

API_SETTINGS = UNCACHED

NEXT_VERSION = asset_version.next_value()


def change(conn, slug, **values):
    stmt = update(assets).where(assets.c.slug == slug)
    conn.execute(stmt.values(**{"price_usd": 2, **values}, version=NEXT_VERSION))


class Mirror:
    """A copy of the assets that knows nothing but what `/changes` says, from some version on."""

    def __init__(self, client, page_size=1000, since=0):
        self.client = client
        self.page_size = page_size
        self.since = since
        self.assets = {}
        self.heard = []

    def follow(self):
        """Hear of all that is new."""
        while True:
            query = {"since": self.since, "page_size": self.page_size}
            page = self.client.get("/changes", query_string=query).json
            for each in page["data"]:
                self.take(each)
            meta = page["meta"]
            assert meta["until"] == self.since or not page["data"]
            assert meta["until"] <= meta["version"]
            assert meta["count"] == len(page["data"]) <= self.page_size
            if not meta["more"]:
                return

    def take(self, each):
        assert each["version"] > self.since
        self.since = each["version"]
        self.heard.append((each["slug"], each["removed"]))
        if each["removed"]:
            assert each["asset"] is None
            self.assets.pop(each["slug"], None)
        else:
            assert each["asset"]["version"] == each["version"]
            assert each["asset"]["slug"] == each["slug"]
            self.assets[each["slug"]] = each["asset"]


def shown(client):
    """What `/data` has."""
    return {asset["slug"]: asset for page in follow(client) for asset in page["data"]}


def test_changes_come_in_order_the_last_of_each_asset_alone(client, conn):
    for slug in ("bitcoin", "ether", "doge"):
        add_asset(conn, slug)
    for slug in ("ether", "bitcoin", "ether"):
        change(conn, slug)

    mirror = Mirror(client)
    mirror.follow()

    assert mirror.heard == [("doge", False), ("bitcoin", False), ("ether", False)]
    assert mirror.assets == shown(client)


def test_removed_assets_are_said_to_be_gone(client, conn):
    for slug in ("bitcoin", "ether", "doge"):
        add_asset(conn, slug)
    mirror, late = Mirror(client), Mirror(client)
    mirror.follow()

    conn.execute(delete(assets).where(assets.c.slug == "ether"))
    change(conn, "bitcoin")
    mirror.follow()
    late.follow()

    assert mirror.heard[3:] == [("ether", True), ("bitcoin", False)]
    assert mirror.assets == late.assets == shown(client)
    assert sorted(mirror.assets) == ["bitcoin", "doge"]


def test_a_slug_that_is_taken_again_is_there_again(client, conn):
    add_asset(conn, "bitcoin")
    mirror = Mirror(client, page_size=1)
    mirror.follow()
    conn.execute(delete(assets))
    add_asset(conn, "bitcoin", price_usd=7)

    mirror.follow()

    assert mirror.assets == shown(client)
    assert mirror.assets["bitcoin"]["price_usd"] == 7


@pytest.mark.parametrize("page_size", [1, 2, 3, 1000])
def test_pages_of_any_size_miss_nothing(client, conn, page_size):
    for number in range(12):
        add_asset(conn, f"asset-{number}")
    for number in (4, 1, 7, 9, 2):
        conn.execute(delete(assets).where(assets.c.slug == f"asset-{number}"))
        change(conn, f"asset-{number + 1}")

    mirror = Mirror(client, page_size)
    mirror.follow()

    assert len(mirror.heard) == 12
    assert mirror.assets == shown(client)


def test_links_end_with_the_changes_and_until_leads_on(client, conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}")

    url, heard = "/changes?page_size=2&decimals=string", []
    while url:
        answer = client.get(url)
        heard.append([each["slug"] for each in answer.json["data"]])
        assert answer.json["meta"]["more"] == bool(answer.headers.getlist("Link"))
        url = answer.headers.get("Link", "").partition(">")[0].strip("<")
    add_asset(conn, "late")

    assert heard == [["asset-0", "asset-1"], ["asset-2"]]
    until = answer.json["meta"]["until"]
    assert [each["slug"] for each in client.get(f"/changes?since={until}").json["data"]] == ["late"]


def test_lines_say_in_headers_where_to_go_on(client, conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}")

    for since, then, more in ((0, 2, "true"), (2, 3, "false"), (3, 3, "false")):
        answer = client.get(f"/changes?since={since}&page_size=2&format=ndjson")
        assert (answer.headers["X-Until"], answer.headers["X-More"]) == (str(then), more)


def test_ndjson_has_a_change_on_each_line_and_the_rest_in_headers(client, conn):
    for number in range(3):
        add_asset(conn, f"asset-{number}", price_usd="0.10")
    conn.execute(delete(assets).where(assets.c.slug == "asset-0"))

    page = client.get("/changes?page_size=2")
    lines = client.get("/changes?page_size=2", headers={"Accept": "application/x-ndjson"})

    assert lines.content_type == "application/x-ndjson"
    documents = [json.loads(line) for line in lines.text.splitlines()]
    assert documents == page.json["data"]
    assert lines.headers["X-Data-Version"] == "4"
    assert lines.headers["Link"] == page.headers["Link"]
    assert '"price_usd":0.10' in lines.text
    rest = client.get("/changes?since=3&format=ndjson&decimals=string").text
    assert rest == '{"version":4,"slug":"asset-0","removed":true,"asset":null}\n'


def test_a_version_ahead_of_the_data_is_refused_with_what_to_do(client, conn):
    add_asset(conn, "bitcoin")

    assert client.get("/changes?since=1").json["data"] == []
    for since in ("2", "999999999999999999"):
        answer = client.get(f"/changes?since={since}")
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_parameter")
        [error] = answer.json["errors"]
        assert error["parameter"] == "since"
        assert since in error["detail"]
        assert "version 1;" in error["detail"]
        assert "start again at 0" in error["detail"]
    for since in ("-1", "1.5", "9" * 19, "x", ""):
        assert client.get(f"/changes?since={since}").status_code == 400


def test_what_is_not_committed_yet_is_not_told_and_not_missed(engine, client):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin")
    mirror = Mirror(client)
    with engine.begin() as conn:
        change(conn, "bitcoin", price_usd=1)
        mirror.follow()
        change(conn, "bitcoin", price_usd=2)
    mirror.follow()

    assert mirror.heard == [("bitcoin", False)] * 2
    assert mirror.assets["bitcoin"]["price_usd"] == 2


def test_merged_and_parted_assets_are_followed(engine, client):
    """Batches that join listings, part them again, rename them, and take up slugs anew."""
    dice = random.Random(4)
    mirror, sources = Mirror(client, page_size=3), ["gecko", "paprika", "csv"]
    for turn in range(30):
        at = LATER.replace("2026-01-02T12:05", f"2026-01-02T13:{turn:02}")
        number, symbol = dice.randrange(4), dice.choice(["AA", "BB", "CC"])
        name = dice.choice(["Coin", "Other", "Third"])
        match dice.choice(sources):
            case "gecko":
                load(engine, COINGECKO, market(f"g-{number}", symbol, name, turn + 1, at))
            case "paprika":
                load(engine, COINPAPRIKA, ticker(f"p-{number}", symbol, name, turn + 1, at))
            case _:
                load(engine, CSV, row(f"c-{number}", symbol, name, str(turn + 1)))
        if dice.random() < 0.5:
            mirror.follow()
            assert mirror.assets == shown(client)
    mirror.follow()

    assert mirror.assets == shown(client)
    assert any(removed for _, removed in mirror.heard)
    assert all(not slug.startswith("~") for slug in mirror.assets)


def test_an_asset_that_nobody_saw_leaves_no_trace(engine, client):
    """A listing that is new starts with an asset of its own, until identity has decided."""
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))

    mirror = Mirror(client)
    mirror.follow()

    assert mirror.heard == [("bitcoin", False)]


def test_a_mirror_of_workers_that_are_killed_and_started_again_is_the_data(
    database_url, reader_url, engine, tmp_path
):
    dice = random.Random(7)
    with Upstream(assets=60) as upstream, api_on(reader_url) as client:
        mirror = Mirror(client, page_size=17)
        settings = {
            source: environ(database_url, upstream, SOURCES=source, BATCH_SIZE=8)
            for source in ("coingecko", "coinpaprika")
        }
        for _ in range(3):
            # Two at once: what they write is in the order of their commits, not of their starts.
            workers = [WarmWorker("run --once", each, tmp_path) for each in settings.values()]
            for worker in workers:
                end = mirror.since + dice.randrange(10, 30)
                while mirror.since < end and any(each.poll() is None for each in workers):
                    mirror.follow()
                worker.kill()
                worker.communicate()
            upstream.market.tick()
        for each in settings.values():
            ran = run_worker("run --once", each, tmp_path)
            assert ran.returncode == 0, ran.stderr
            mirror.follow()

        with engine.connect() as conn:
            version = conn.scalar(select(dataset.c.version))
        until(lambda: mirror.follow() or mirror.since == version)
        assert mirror.assets == shown(client)
        assert len(mirror.assets) > 50


def test_a_mirror_of_what_is_mended_is_the_data(database_url, client, conn, tmp_path):
    with Upstream(assets=60) as upstream:
        settings = environ(database_url, upstream, SOURCES="coingecko,coinpaprika")
        assert run_worker("run --once", settings, tmp_path).returncode == 0
        mirror = Mirror(client, page_size=7)
        mirror.follow()
        whole = shown(client)

        # Somebody joins listings that are not one asset, and spoils values.
        conn.execute(text("UPDATE listings SET asset_id = 1 WHERE asset_id < 9"))
        conn.execute(delete(assets).where(assets.c.id.between(2, 8)))
        conn.execute(
            update(assets).where(assets.c.id > 50).values(price_usd=-1, version=NEXT_VERSION)
        )
        mirror.follow()
        assert mirror.assets == shown(client) != whole
        for source in ("coingecko", "coinpaprika"):
            assert run_worker(f"reprocess --source {source}", settings, tmp_path).returncode == 0
            mirror.follow()

    assert mirror.assets == shown(client)
    prices = {slug: asset["price_usd"] for slug, asset in whole.items()}
    assert {slug: asset["price_usd"] for slug, asset in mirror.assets.items()} == prices


def test_the_newest_changes_are_found_without_reading_the_others(engine, client, conn):
    conn.execute(
        text(
            "INSERT INTO assets (slug, symbol, name) "
            "SELECT 'a-' || n, 'S', 'N' FROM generate_series(1, 5000) AS n"
        )
    )
    conn.execute(text("VACUUM ANALYZE assets"))

    page = client.get("/changes?since=4995").json

    assert page["meta"]["count"] == 5
    assert read_by(engine, client, "/changes", {"since": "4995"})[0] < 20
    assert read_by(engine, client, "/changes", {"since": "0", "page_size": "10"})[0] < 20
