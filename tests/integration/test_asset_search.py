"""The labels that searches read are those of the assets, whatever becomes of these."""

import pytest
from sqlalchemy import delete, func, select, text, update

from shared.schema.market import asset_search, asset_version, assets
from tests.fakes.api import UNCACHED, add_asset
from tests.fakes.databases import engine_on
from worker.maintenance.migrate import downgrade, upgrade

API_SETTINGS = UNCACHED

LABELS = select(asset_search.c.asset_id, asset_search.c.labels).order_by(asset_search.c.asset_id)
EXPECTED = select(assets.c.id, func.chr(10) + assets.c.search_text).order_by(assets.c.id)


def are_those_of_the_assets(conn):
    return conn.execute(LABELS).all() == conn.execute(EXPECTED).all()


def change(conn, slug, **columns):
    columns["version"] = asset_version.next_value()
    conn.execute(update(assets).where(assets.c.slug == slug).values(columns))


def found(client, q):
    return [each["slug"] for each in client.get("/data", query_string={"q": q}).json["data"]]


def test_labels_follow_what_is_added_renamed_and_removed(conn, client):
    for slug in ("bitcoin", "litecoin", "dogecoin"):
        add_asset(conn, slug)
    assert are_those_of_the_assets(conn)
    assert found(client, "bitco") == ["bitcoin"]

    change(conn, "bitcoin", name="Gold")
    change(conn, "litecoin", price_usd=1)
    change(conn, "dogecoin", former_names="Shibe")
    assert are_those_of_the_assets(conn)
    assert found(client, "gold") == ["bitcoin"]
    assert found(client, "shibe") == ["dogecoin"]

    conn.execute(delete(assets).where(assets.c.slug == "bitcoin"))
    assert are_those_of_the_assets(conn)
    assert found(client, "gold") == []


def test_a_changed_value_writes_no_label(conn):
    add_asset(conn, "bitcoin")
    rows = select(text("xmin::text"), text("ctid::text")).select_from(asset_search)
    before = conn.execute(rows).all()

    change(conn, "bitcoin", price_usd=1, market_cap_usd=2)

    assert conn.execute(rows).all() == before


TEXTS = [
    *(
        "Ünïcödé Cöin",
        "İstanbul",
        "日本円コイン",
        "emoji 🐕🐕🐕 coin",
        "a",
        "ab",
        "abc",
        "%_\\ %%%",
    ),
    *("  spaced  ", "O'Neil", "ΑΣ ΟΔΟΣ", "x" * 300),
]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_a_search_finds_what_a_reading_of_every_text_finds(conn, client, size):
    for number, name in enumerate(TEXTS):
        add_asset(conn, f"asset-{number}", name=name)
    parts = {name[at : at + size] for name in TEXTS for at in range(len(name) - size + 1)}
    reading = text("SELECT slug FROM assets WHERE strpos(search_text, lower(:q)) > 0 ORDER BY slug")

    for q in sorted(parts):
        assert sorted(found(client, q)) == conn.scalars(reading, {"q": q}).all(), q


def test_the_migration_carries_the_labels_of_a_filled_database_over(empty_database_url):
    upgrade(empty_database_url)
    with engine_on(empty_database_url) as engine, engine.begin() as conn:
        add_asset(conn, "bitcoin", former_names="XBT")
    downgrade(empty_database_url, "0009")
    with engine_on(empty_database_url) as engine, engine.begin() as conn:
        add_asset(conn, "litecoin")
    upgrade(empty_database_url)

    with engine_on(empty_database_url) as engine, engine.begin() as conn:
        assert are_those_of_the_assets(conn)
        assert conn.scalar(select(func.count()).select_from(asset_search)) == 2
        add_asset(conn, "dogecoin")
        assert are_those_of_the_assets(conn)
