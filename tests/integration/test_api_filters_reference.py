"""`GET /data` against a reference in plain Python: filters, formats and times."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from api.queries.assets.columns import ASSET_COLUMNS, NULLABLE_COLUMNS, SORT_COLUMNS
from shared.model.records import VALUES
from shared.schema.market import assets, listings
from tests.fakes.api import NOON, UNCACHED, add_asset, add_listing
from tests.fakes.reference import DECIMALS, HIGH, LOW, MIDDLE, expected, plain, read_assets
from tests.fakes.walks import find

API_SETTINGS = UNCACHED


NUMBERS = [None, "0", "1", "1.0", LOW, MIDDLE, HIGH, "-3", "1E+40", "1E-30"]

number = st.sampled_from([each and Decimal(each) for each in NUMBERS])

label = st.text("aAbéÉß%_\\🪙", min_size=1, max_size=4)

search = st.text("aBé%_", min_size=1, max_size=2)

moment = st.sampled_from([NOON + timedelta(microseconds=count) for count in range(4)])

SOURCES = ("coinpaprika", "coingecko", "csv")

some_assets = st.lists(
    st.fixed_dictionaries(
        {
            **dict.fromkeys(DECIMALS, number),
            "symbol": label.map(lambda text: text.upper() if text.isascii() else text),
            "name": label,
            "observed_at": st.none() | moment,
            "updated_at": moment,
            "source_count": st.integers(0, 3),
            "divergent": st.booleans(),
            "sources": st.sets(st.sampled_from(SOURCES)),
        }
    ),
    min_size=1,
    max_size=25,
)

bounds = st.one_of(
    st.tuples(
        st.sampled_from([f"{end}_{name}" for name in DECIMALS for end in ("min", "max")]),
        st.sampled_from([each for each in NUMBERS if each]),
    ),
    st.tuples(
        st.sampled_from(["min_source_count", "max_source_count"]), st.integers(0, 3).map(str)
    ),
)

sorts = st.lists(
    st.tuples(st.sampled_from(["", "-"]), st.sampled_from(SORT_COLUMNS)),
    min_size=1,
    max_size=4,
    unique_by=lambda key: key[1],
).map(lambda keys: ",".join(sign + name for sign, name in keys))

queries = st.tuples(
    st.lists(bounds, max_size=2, unique_by=lambda bound: bound[0].split("_", 1)[1]).map(dict),
    st.fixed_dictionaries(
        {},
        optional={
            "sort": sorts,
            "q": search,
            "symbol": st.lists(st.sampled_from("abé"), min_size=1).map(",".join),
            "source": st.lists(st.sampled_from(SOURCES), min_size=1).map(",".join),
            "has": st.lists(st.sampled_from(NULLABLE_COLUMNS), min_size=1, max_size=2).map(
                ",".join
            ),
            "divergent": st.sampled_from(("true", "false")),
            "updated_since": moment.map(lambda at: at.astimezone(UTC).isoformat()),
        },
    ),
).map(lambda parts: {**parts[0], **parts[1]})


@given(st.data(), some_assets)
@settings(
    max_examples=settings.default.max_examples // 4,
    phases=[Phase.explicit, Phase.generate],  # to make an example smaller takes many requests
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_it_finds_what_plain_python_finds(client, conn, data, drawn):
    replace_market(conn, drawn)
    rows = read_assets(conn)

    for _ in range(3):
        query = data.draw(queries)
        page_size = data.draw(st.integers(1, 30))
        assert find(client, page_size=page_size, **query) == expected(rows, query), query


def replace_market(conn, drawn):
    """Put other assets in the place of those that are there."""
    conn.execute(delete(listings))
    conn.execute(delete(assets))
    rows = [
        {"slug": f"s{place * 7 % 100:02}", **{k: v for k, v in each.items() if k != "sources"}}
        for place, each in enumerate(drawn)
    ]
    stmt = insert(assets).values(rows).returning(assets.c.id, assets.c.slug)
    ids = {slug: id_ for id_, slug in conn.execute(stmt)}
    for row, each in zip(rows, drawn, strict=True):
        for source in each["sources"]:
            add_listing(conn, ids[row["slug"]], source, row["slug"])


def test_every_format_shows_the_same_values_as_the_rows_have(client, conn):
    for place in range(9):
        values = dict.fromkeys(VALUES, NUMBERS[place] and Decimal(NUMBERS[place]))
        at = None if place == 3 else NOON + timedelta(microseconds=place * 1000)
        add_asset(conn, f"asset-{place}", observed_at=at, divergent=place % 2 == 1, **values)
    rows = {row["slug"]: row for row in read_assets(conn)}
    shown = {slug: {name: plain(row[name]) for name in ASSET_COLUMNS} for slug, row in rows.items()}

    page = client.get("/data?decimals=string").json["data"]
    table = csv.DictReader(io.StringIO(client.get("/data?format=csv").text, newline=""))

    not_text = {"source_count", "divergent", "active", "version"}
    as_text = [{k: plain(v) if k in not_text else v for k, v in asset.items()} for asset in page]
    assert {asset["slug"]: asset for asset in as_text} == shown
    assert {asset["slug"]: {k: v or None for k, v in asset.items()} for asset in table} == shown


def test_times_before_the_epoch_and_far_ahead_are_told(client, conn):
    add_asset(conn, "old", updated_at=datetime(1, 1, 1, tzinfo=UTC))
    add_asset(conn, "new", updated_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))

    page = client.get("/data?sort=updated_at").json["data"]

    assert [asset["updated_at"] for asset in page] == [
        "0001-01-01T00:00:00.000000Z",
        "9999-12-31T23:59:59.999999Z",
    ]
    assert find(client, sort="updated_at", page_size=1) == ["old", "new"]
    assert find(client, updated_since="0001-01-01T00:00:00.000000Z", sort="slug") == ["new", "old"]
