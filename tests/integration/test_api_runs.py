"""`/runs`, one run, and two beside each other."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, select, text

from shared.tables import observations, runs
from tests.fakes.api import NOON, add_asset, add_listing, add_run
from tests.fakes.batches import COINGECKO, COINPAPRIKA, LATER, load, market, ticker
from tests.fakes.batches import NOON as AT_NOON
from tests.fakes.databases import make_room
from tests.fakes.document import check_answer

MINUTE = timedelta(minutes=1)


def ids(response):
    return [run["id"] for run in response.json["data"]]


def walk(client, url):
    """Follow the cursors to the end; return the ids of all pages, by page."""
    pages = []
    separator = "&" if "?" in url else "?"
    response = client.get(url)
    while True:
        pages.append(ids(response))
        cursor = response.json["meta"]["next_cursor"]
        if cursor is None:
            return pages
        response = client.get(f"{url}{separator}cursor={cursor}")
        assert response.status_code == 200


def test_runs_are_paged_newest_first_and_counted(client, engine):
    with engine.begin() as conn:
        made = [add_run(conn) for _ in range(5)]

    assert walk(client, "/runs?page_size=2") == [made[:2:-1], made[2:0:-1], made[:1]]
    assert walk(client, "/runs?page_size=5") == [made[::-1]]
    assert client.get("/runs?page_size=2").json["meta"]["total"] == 5


def test_while_runs_are_added_a_walk_meets_each_that_there_was_once(client, engine):
    with engine.begin() as conn:
        made = [add_run(conn) for _ in range(4)]
    first = client.get("/runs?page_size=3")
    with engine.begin() as conn:
        add_run(conn)

    cursor = first.json["meta"]["next_cursor"]
    second = client.get(f"/runs?page_size=3&cursor={cursor}")

    assert ids(first) + ids(second) == made[::-1]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("source=csv", [1]),
        ("source=csv,coingecko", [4, 3, 2, 1]),
        ("outcome=partial,running", [4, 3]),
        ("source=coingecko&outcome=failed", [2]),
        ("command=import", [1]),
        ("started_since=2026-01-31T12:02:00Z", [5, 4, 3]),
        ("started_since=2026-01-31T13:02:00%2B01:00&started_before=2026-01-31T12:03:00Z", [3]),
        ("started_before=2026-01-31T12:00:00Z", []),
    ],
)
def test_runs_are_found_by_source_outcome_command_and_time(client, engine, query, wanted):
    with engine.begin() as conn:
        add_run(conn, "csv", command="import", started_at=NOON)
        add_run(conn, outcome="failed", started_at=NOON + MINUTE)
        add_run(conn, outcome="partial", started_at=NOON + 2 * MINUTE)
        add_run(conn, outcome="running", started_at=NOON + 3 * MINUTE)
        add_run(conn, "coinpaprika", started_at=NOON + 4 * MINUTE)

    response = client.get(f"/runs?{query}")

    assert ids(response) == wanted
    assert response.json["meta"]["total"] == len(wanted)
    assert walk(client, f"/runs?{query}&page_size=1") == [[each] for each in wanted] or not wanted


@pytest.mark.parametrize(
    "query",
    [
        "source=bitcoin",
        "outcome=succeded",
        "command=retries",
        "started_since=2026-01-31T12:00:00",
        "started_since=yesterday",
        "page_size=0",
        "page_size=201",
        "cursor=x",
        "page=1",
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(client, query):
    response = client.get(f"/runs?{query}")

    assert response.status_code == 400
    assert response.json["errors"][0]["parameter"] == query.partition("=")[0]


def test_a_cursor_belongs_to_its_query_and_route(client, engine):
    with engine.begin() as conn:
        for _ in range(3):
            add_run(conn)
    cursor = client.get("/runs?page_size=1&source=coingecko").json["meta"]["next_cursor"]

    assert client.get(f"/runs?source=coingecko&cursor={cursor}").status_code == 200
    for url in ("/runs?", "/runs?source=csv&", "/rejects?source=coingecko&"):
        refused = client.get(f"{url}cursor={cursor}")
        assert refused.status_code == 400
        assert "belongs to a query with other filters" in refused.json["errors"][0]["detail"]


def test_the_links_lead_to_the_first_and_the_next_page(client, engine):
    with engine.begin() as conn:
        add_run(conn)
        add_run(conn)

    first = client.get("/runs?page_size=1&outcome=succeeded")
    links = first.headers.getlist("Link")
    last = client.get(links[1].partition(">")[0].removeprefix("<"))

    assert links[0] == '</runs?page_size=1&outcome=succeeded>; rel="first"'
    assert ids(last) == [1]
    assert last.headers.getlist("Link") == links[:1]


def test_a_run_shows_its_counts_rates_times_and_checkpoints(client, engine):
    with engine.begin() as conn:
        other = add_run(conn, "csv")
        before = add_run(conn)
        run = add_run(
            conn,
            outcome="partial",
            reason="frozen",
            error="coingecko: <b>0 of 10 records are new</b>",
            records_fetched=10,
            records_new=5,
            records_unchanged=3,
            records_rejected=2,
            records_known=10,
            prices_compared=4,
            prices_jumped=1,
            requests=7,
            retries=2,
            pages_not_modified=1,
            batches=3,
            phase_seconds={"wait": 1.5, "fetch": 0.25, "check": 0.1, "load": 0, "commit": 0.001},
            cursor_before={"page": 2, "exact": Decimal("0.1").__str__()},
            cursor_after=None,
        )
        after = add_run(conn, outcome="running")
        add_run(conn, "csv")

    shown = client.get(f"/runs/{run}")

    assert shown.json["data"] == {
        "id": run,
        "source": "coingecko",
        "command": "run",
        "outcome": "partial",
        "reason": "frozen",
        "error": "coingecko: <b>0 of 10 records are new</b>",
        "started_at": "2026-01-31T12:00:00.000000Z",
        "finished_at": "2026-01-31T12:00:02.500000Z",
        "duration_seconds": 2.5,
        "phase_seconds": {"wait": 1.5, "fetch": 0.25, "check": 0.1, "load": 0, "commit": 0.001},
        "records": {
            "fetched": 10,
            "new": 5,
            "unchanged": 3,
            "rejected": 2,
            "known": 10,
            "revised": 0,
        },
        "rates": {
            "records_per_second": 4,
            "new_share": 0.25,
            "rejected_share": 0.1,
            "jumped_share": 0.25,
        },
        "requests": 7,
        "retries": 2,
        "pages_not_modified": 1,
        "batches": 3,
        "prices_compared": 4,
        "prices_jumped": 1,
        "rejects_dropped": 0,
        "rejects_dropped_reasons": {},
        "cursor_before": {"page": 2, "exact": "0.1"},
        "cursor_after": None,
        "previous_run_id": before,
        "next_run_id": after,
        "anomalies": [],
    }
    assert shown.headers.getlist("Link") == [
        f'</runs/{before}>; rel="prev"',
        f'</runs/{after}>; rel="next"',
    ]
    first = client.get(f"/runs/{other}").json["data"]
    assert (first["previous_run_id"], first["next_run_id"]) == (None, after + 1)


def test_a_run_at_work_has_no_duration_and_an_old_one_no_phases(client, engine):
    with engine.begin() as conn:
        run = add_run(conn, outcome="running")

    shown = client.get(f"/runs/{run}").json["data"]

    assert shown["duration_seconds"] is None
    assert shown["finished_at"] is None
    assert set(shown["rates"].values()) == {None}
    assert set(shown["phase_seconds"].values()) == {None}


@pytest.mark.parametrize("run", ["99", "0", "-1", "x", "1.0", "9" * 18, "9" * 40, "1%20"])
def test_a_run_that_there_is_not_is_a_problem_of_its_own(client, run):
    response = client.get(f"/runs/{run}")

    assert response.status_code == 404
    assert response.json["code"] == "run_not_found"


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

    back = client.get("/runs/compare?a=3&b=4").json["data"]

    assert back["appeared"] == {"total": 0, "listings": []}
    assert sorted(names(back["vanished"])) == ["bitcoin", "ether", "tether"]
    assert back["moved"]["total"] == 0


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
            "detail": "is a run of 'coingecko', and a is one of 'coinpaprika'; "
            "expected two of one source",
        }
    ]
    missing = client.get("/runs/compare?a=2&b=99")
    assert missing.status_code == 404
    assert missing.json["code"] == "run_not_found"


def test_a_run_is_compared_through_the_index_on_runs(client, engine):
    """However many observations there are, only the ranges of the two runs are read."""
    make_room(engine.url, NOON, NOON + timedelta(days=1))
    with engine.begin() as conn:
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


def test_only_finished_numbers_leave_the_database(client, engine):
    """Text from a source stays text: nothing of it is read as JSON or HTML."""
    with engine.begin() as conn:
        conn.execute(
            insert(runs).values(
                source="csv",
                command="run",
                outcome="failed",
                reason="not_csv",
                error='</script>"\u2028\ufeff\u202e',
                host="h",
                pid=1,
            )
        )

    response = client.get("/runs")

    assert response.content_type == "application/json"
    assert response.json["data"][0]["error"] == '</script>"\u2028\ufeff\u202e'
