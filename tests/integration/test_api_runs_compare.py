"""Two runs compared."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from shared.schema.market import observations
from shared.schema.operations import runs
from tests.fakes.api import NOON, add_asset, add_listing, add_run
from tests.fakes.batches import COINGECKO, COINPAPRIKA, LATER, load, market, ticker
from tests.fakes.batches import NOON as AT_NOON
from tests.fakes.databases import make_room
from tests.fakes.document import check_answer

MINUTE = timedelta(minutes=1)


def three_snapshots(engine):
    """Two runs that see Ether appear, Doge vanish and prices move, after one of another source."""
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin", 100))
    load(
        engine,
        COINGECKO,
        market("bitcoin", "btc", "Bitcoin", 100),
        market("doge", "doge", "Doge", 1),
        market("tether", "usdt", "Tether", 1),
        market("still", "stl", "Still", 5),
    )
    load(
        engine,
        COINGECKO,
        market("bitcoin", "btc", "Bitcoin", 150, LATER),
        market("ether", "eth", "Ether", 7, LATER),
        market("tether", "usdt", "Tether", "0.9", LATER),
        market("still", "stl", "Still", 5, AT_NOON),
    )


def names(difference):
    return [listing["external_id"] for listing in difference["listings"]]


def test_two_runs_are_compared_by_what_they_observed(client, engine):
    three_snapshots(engine)

    told = client.get("/runs/compare?a=2&b=3").json["data"]

    assert (told["a"]["id"], told["b"]["id"]) == (2, 3)
    assert told["change"]["records"] == {
        "fetched": 0,
        "new": -1,
        "unchanged": 1,
        "rejected": 0,
        "known": 0,
        "revised": 0,
    }
    assert names(told["appeared"]) == ["ether"]
    assert sorted(names(told["not_observed_anew"])) == ["doge", "still"]
    assert told["b"]["records"]["unchanged"] == 1
    assert told["vanished"] is None
    assert [
        (each["external_id"], each["price_usd_a"], each["price_usd_b"], each["percent"])
        for each in told["moved"]["listings"]
    ] == [("bitcoin", 100, 150, 50), ("tether", 1, 0.9, -10)]
    assert told["moved"]["total"] == 2
    assert told["moved"]["listings"][0]["asset"] == "bitcoin"


def test_the_answers_on_loaded_data_are_as_described(client, engine):
    three_snapshots(engine)
    document = client.get("/openapi.json").json

    for path, url in (
        ("/runs", "/runs?page_size=2"),
        ("/runs/{run_id}", "/runs/2"),
        ("/runs/compare", "/runs/compare?a=2&b=3"),
    ):
        response = client.get(url)
        assert response.status_code == 200
        check_answer(document, path, response)


def test_what_another_run_had_observed_before_does_not_appear(client, engine):
    three_snapshots(engine)
    load(engine, COINGECKO, market("doge", "doge", "Doge", 2, LATER))
    with engine.begin() as conn:
        conn.execute(update(runs).values(outcome="succeeded"))

    back = client.get("/runs/compare?a=3&b=4").json["data"]

    assert back["appeared"] == {"total": 0, "listings": []}
    assert sorted(names(back["vanished"])) == ["bitcoin", "ether", "tether"]
    assert back["moved"]["total"] == 0


@pytest.mark.parametrize(
    ("source", "of_b"),
    [
        ("coingecko", {"outcome": "failed"}),
        ("coingecko", {"command": "import"}),
        ("coingecko", {"cursor_before": {"page": 2}}),
        ("coingecko", {"pages_not_modified": 1, "records_known": 250}),
        ("coingecko", {"records_fetched": 2, "records_new": 1, "records_rejected": 1}),
        ("coingecko", {"records_fetched": 2, "records_new": 1, "records_unchanged": 1}),
        ("csv", {"records_fetched": 0}),
        ("csv", {"records_fetched": 1, "records_new": 1}),
    ],
)
def test_no_listing_vanished_if_the_later_run_did_not_receive_all_as_new(
    client, engine, source, of_b
):
    with engine.begin() as conn:
        a, whole = (add_run(conn, source, records_fetched=2, records_new=2) for _ in "ab")
        b = add_run(conn, source, **of_b)

    told = client.get(f"/runs/compare?a={a}&b={b}").json["data"]
    page = client.get(f"/dashboard/runs/compare?a={a}&b={b}").text
    after_whole = client.get(f"/runs/compare?a={a}&b={whole}").json["data"]

    assert told["vanished"] is None
    assert "Vanished" not in page
    assert after_whole["vanished"] == (None if source == "csv" else {"total": 0, "listings": []})


def test_each_list_names_the_first_and_counts_all(client, engine):
    three_snapshots(engine)

    told = client.get("/runs/compare?a=2&b=3&limit=1").json["data"]

    assert names(told["moved"]) == ["bitcoin"]
    assert told["moved"]["total"] == 2
    assert told["not_observed_anew"]["total"] == 2
    assert len(told["not_observed_anew"]["listings"]) == 1


def test_the_change_of_two_runs_is_counted_and_timed(client, engine):
    with engine.begin() as conn:
        a = add_run(conn, records_fetched=10, records_new=10, phase_seconds={"wait": 1.5})
        b = add_run(
            conn,
            records_fetched=20,
            records_unchanged=20,
            finished_at=NOON + 5 * MINUTE,
            phase_seconds={"wait": 0.25},
            requests=3,
        )

    change = client.get(f"/runs/compare?a={a}&b={b}").json["data"]["change"]

    assert change["records"]["new"] == -10
    assert change["records"]["unchanged"] == 20
    assert change["duration_seconds"] == 297.5
    assert change["phase_seconds"]["wait"] == -1.25
    assert change["phase_seconds"]["load"] is None
    assert change["rates"]["new_share"] == -1
    assert change["requests"] == 3


def test_runs_that_cannot_be_compared_are_refused(client, engine):
    three_snapshots(engine)

    for query, parameter in (("a=1", "b"), ("b=1", "a"), ("a=1&b=x", "b"), ("a=2&b=2", "b")):
        refused = client.get(f"/runs/compare?{query}")
        assert refused.status_code == 400
        assert refused.json["errors"][0]["parameter"] == parameter
    of_two = client.get("/runs/compare?a=1&b=2")
    assert of_two.status_code == 400
    assert of_two.json["errors"] == [
        {
            "parameter": "b",
            "detail": "is a run of 'coingecko', but a is a run of 'coinpaprika'; "
            "expected two runs of one source",
        }
    ]
    missing = client.get("/runs/compare?a=2&b=99")
    assert missing.status_code == 404
    assert missing.json["code"] == "run_not_found"


def test_a_run_is_compared_through_the_index_on_runs(client, engine):
    """However many observations there are, only the ranges of the two runs are read."""
    make_room(engine.url, NOON, NOON + timedelta(days=1))
    with engine.begin() as conn:
        # Where deleted rows were, new ones would not lie in the order of their runs.
        conn.execute(text("TRUNCATE observations"))
        asset = add_asset(conn, "bitcoin")
        first = add_listing(conn, asset, "coingecko", "bitcoin")
        for _ in range(40):
            run = add_run(conn)
            rows = (
                "INSERT INTO observations"
                " (listing_id, observed_at, run_id, payload_hash, price_usd)"
                " SELECT :first, :at + n * interval '1 second', :run,"
                " '\\x00', n FROM generate_series(1, 2000) AS n"
            )
            at = NOON + run * timedelta(minutes=34)
            conn.execute(text(rows), {"first": first, "run": run, "at": at})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE observations"))

        plan = conn.scalars(
            text("EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM observations WHERE run_id = 20")
        ).all()
        total = conn.scalar(select(text("count(*)")).select_from(observations))

    assert any("_run_id_idx" in line for line in plan), plan
    removed = [int(line.split(":")[1]) for line in plan if "Rows Removed" in line]
    assert sum(removed) < total / 2, plan
    moved = client.get("/runs/compare?a=20&b=21").json["data"]["moved"]
    assert moved["total"] == 0
