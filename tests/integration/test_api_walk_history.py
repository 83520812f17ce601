"""What is stored of replaced assets for walks, and for how long."""

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import delete, func, select, update

from api.queries.assets.columns import ASSET_COLUMNS
from shared.schema.market import asset_history, asset_version, assets, dataset, removed_assets
from tests.fakes.api import UNCACHED, add_asset
from tests.fakes.reference import read_assets, slugs
from tests.fakes.walks import start

API_SETTINGS = UNCACHED

AN_HOUR = timedelta(hours=1)
NEXT_VERSION = asset_version.next_value()


def rows_of(conn, table):
    return conn.execute(select(table).order_by(table.c.version)).mappings().all()


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
