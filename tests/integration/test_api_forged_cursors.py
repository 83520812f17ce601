"""Cursors and parameters that no page ever gave: each is a 400 that names it, and never a 500."""

import itertools

import pytest
from sqlalchemy import insert, text

from api.queries.assets.cursors import pack, unpack
from shared.schema.identity import matches
from tests.fakes.api import NOON, add_asset, add_listing, add_observation, add_run

FAR_ZONE = "2026-01-31T12:00:00+23:59"
OTHER_FAR_ZONE = "2026-01-31T12:00:00-23:59"
EDGE_OF_THE_CALENDAR = "9999-12-31T23:59:59-15:00"
TIMES = [FAR_ZONE, OTHER_FAR_ZONE, EDGE_OF_THE_CALENDAR, "2026-01-31T12:00:00", "", 5, True, None]
RANK, ID, VERSION, TOTAL = 1, 3, 4, 5
"""Where they stand in a cursor of `/data`."""

INTEGERS = [True, 1.0, 1e999, float("nan"), "1", -1, 2**63, 10**30, None, [], {}]


@pytest.fixture(autouse=True)
def assets(conn):
    for number in range(3):
        asset = add_asset(
            conn, f"a{number}", price_usd=number + 1, source_count=number, observed_at=NOON
        )
        listing = add_listing(conn, asset, "coingecko", f"a{number}")
        for minute in range(3):
            add_observation(
                conn, listing, price_usd=number, observed_at=NOON.replace(minute=minute)
            )
        add_run(conn)


def forged(client, path, change, **query):
    """Ask with the cursor that the first page ends with, of which one part was changed."""
    first = client.get(path, query_string={**query, "page_size": 1})
    parts = unpack(first.json["meta"]["next_cursor"])
    change(parts)
    return client.get(path, query_string={**query, "page_size": 1, "cursor": pack(parts)})


def place(index, value):
    def change(parts):
        parts[index] = value

    return change


def is_refused(answer):
    assert answer.status_code == 400, answer.text
    assert answer.json["code"] == "invalid_parameter"
    assert [error["parameter"] for error in answer.json["errors"]] == ["cursor"]
    return True


SORT_KEYS = [
    ("price_usd", "1e999999"),
    ("price_usd", "1e-999999"),
    ("price_usd", "Infinity"),
    ("price_usd", "NaN"),
    ("price_usd", "sNaN"),
    ("price_usd", "true"),
    ("price_usd", True),
    ("price_usd", 1),
    ("price_usd", 1e999),
    ("source_count", "1e3"),
    ("source_count", "true"),
    ("source_count", "-1"),
    ("source_count", str(2**63)),
    ("source_count", "9" * 5000),
    ("source_count", True),
    ("slug", "\x00"),
    ("slug", 1),
    *(("observed_at", moment) for moment in TIMES if moment is not None),
]


def test_a_sort_key_that_no_asset_can_have_is_refused(client):
    for sort, key in SORT_KEYS:
        assert is_refused(forged(client, "/data", place(2, [key]), sort=sort)), key


def test_a_number_of_a_walk_that_is_none_is_refused(client):
    for part, value in itertools.product([RANK, ID, VERSION, TOTAL], INTEGERS):
        assert is_refused(forged(client, "/data", place(part, value), sort="slug")), (part, value)
    for value in INTEGERS:
        assert is_refused(forged(client, "/runs", place(1, value))), value


def test_a_place_among_reviews_that_is_none_is_refused(client, conn):
    a, b, c = (
        conn.scalar(text(f"SELECT id FROM listings WHERE external_id = 'a{n}'")) for n in range(3)
    )
    for other in (b, c):
        conn.execute(
            insert(matches).values(
                listing_id=a,
                other_listing_id=other,
                method="m",
                score=1,
                verdict="review",
                prices="agree",
                evidence={},
            )
        )
    for part, values in (
        (1, [1, None, "true"]),
        (2, TIMES),
        (3, INTEGERS),
        (4, [*INTEGERS, 2**31]),
    ):
        for value in values:
            assert is_refused(forged(client, "/reviews", place(part, value))), (part, value)


def test_a_walk_of_the_past_that_saw_no_time_is_refused(client):
    for seen in (True, 5, [], {"coingecko": FAR_ZONE}, {"coingecko": 1}, "x"):
        change = place(slice(6, None), [seen])
        past = {"as_of": "2026-01-31T12:30:00Z", "sort": "slug"}
        assert is_refused(forged(client, "/data", change, **past)), seen


@pytest.mark.parametrize("interval", [{}, {"interval": "1h"}], ids=["observations", "candles"])
def test_a_time_of_a_history_that_is_none_is_refused(client, interval):
    query = {"start": "2026-01-31T00:00:00Z", "end": "2026-02-01T00:00:00Z", **interval}
    for moment in TIMES:
        for change in (
            place(1, moment),
            place(2, moment),
            lambda parts, at=moment: start_at(parts, at),
        ):
            assert is_refused(forged(client, "/data/a1/history", change, **query)), moment


def start_at(parts, moment):
    parts[4][0] = moment


def test_keys_that_are_no_list_of_texts_are_refused(client):
    for keys in ("1", None, [], {}):
        assert is_refused(forged(client, "/data", place(2, keys), sort="slug,price_usd")), keys


def test_a_number_with_every_digit_that_postgres_holds_is_still_read(client, conn):
    digits = "9" * 400 + "." + "9" * 400
    conn.execute(text(f"UPDATE assets SET price_usd = {digits} WHERE slug = 'a1'"))
    conn.execute(text("UPDATE assets SET price_usd = 1e-1000 WHERE slug = 'a0'"))

    slugs, cursor = [], {}
    while cursor is not None:
        query = {"sort": "price_usd", "page_size": 1, "fields": "slug", **cursor}
        page = client.get("/data", query_string=query).json
        slugs += [asset["slug"] for asset in page["data"]]
        following = page["meta"]["next_cursor"]
        cursor = {"cursor": following} if following else None

    assert slugs == ["a0", "a2", "a1"]


TAKES_A_TIME = [
    ("/data", "updated_since"),
    ("/data", "as_of"),
    ("/data/a1", "known_at"),
    ("/data/a1/history", "start"),
    ("/data/a1/raw", "observed_at"),
    ("/runs", "started_since"),
    ("/runs/anomalies", "since"),
]


def test_a_time_in_no_zone_on_earth_is_refused_by_its_name(client):
    for (path, name), moment in itertools.product(TAKES_A_TIME, TIMES[:3]):
        answer = client.get(path, query_string={name: moment})
        assert answer.status_code == 400, (path, moment)
        assert [error["parameter"] for error in answer.json["errors"]] == [name]


def test_a_time_is_read_in_every_zone_on_earth(client):
    for zone in ("+14:00", "-12:00", "+05:45", "Z", "+15:59"):
        answer = client.get("/data", query_string={"updated_since": f"2026-01-31T12:00:00{zone}"})
        assert answer.status_code == 200, zone


def test_what_postgres_refuses_of_a_parameter_is_a_400_that_names_it(client, conn):
    # A schema in which a filter's value cannot be read, as no check of ours foresees it.
    conn.execute(text("ALTER TABLE drift ALTER source TYPE integer USING 1"))
    conn.execute(
        text(
            "CREATE FUNCTION same(integer, text) RETURNS boolean LANGUAGE sql "
            "RETURN $1 = $2::integer"
        )
    )
    conn.execute(text("CREATE OPERATOR = (LEFTARG = integer, RIGHTARG = text, FUNCTION = same)"))

    answer = client.get("/drift?source=csv&page_size=7")

    assert answer.status_code == 400, answer.text
    assert answer.json["code"] == "invalid_parameter"
    assert [error["parameter"] for error in answer.json["errors"]] == ["source"]
    assert '"csv"' in answer.json["errors"][0]["detail"]


def test_what_postgres_refuses_of_no_parameter_is_still_an_error_of_the_server(client, conn):
    conn.execute(text("ALTER TABLE drift ALTER records TYPE text USING ''"))
    conn.execute(
        text(
            "INSERT INTO drift (source, path, kind, detail, first_run_id, last_run_id, "
            "records) VALUES ('csv', '$', 'unknown_field', '{}', 1, 1, 'x')"
        )
    )
    conn.execute(text("ALTER TABLE drift RENAME TO drift_table"))
    conn.execute(
        text(
            "CREATE VIEW drift AS SELECT id, source, path, kind, detail, first_run_id, "
            "last_run_id, records::bigint AS records, first_seen_at, last_seen_at, "
            "acknowledged_at, share, example FROM drift_table"
        )
    )
    conn.execute(text("GRANT SELECT ON drift TO kasparro_reader"))

    assert client.get("/drift").status_code == 500
