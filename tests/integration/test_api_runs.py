"""`/runs`, and one run."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from shared.schema.operations import runs
from tests.fakes.api import NOON, add_run

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
