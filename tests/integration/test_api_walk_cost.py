"""How much a page of a walk reads."""

import pytest
from sqlalchemy import insert, text, update

from shared.schema.market import asset_version, assets
from tests.fakes.api import UNCACHED
from tests.fakes.plans import read_by
from tests.fakes.walks import start

API_SETTINGS = UNCACHED

NEXT_VERSION = asset_version.next_value()


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
