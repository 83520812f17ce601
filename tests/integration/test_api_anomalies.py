"""Runs that stand out against their source's own history, and by which rule."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from api.queries.operations.anomaly_rules import LEAST_HISTORY
from shared.model.catalogue import EXPECTATIONS
from shared.model.runs import JUDGED
from tests.fakes.api import NOON, add_checkpoint, add_run
from tests.fakes.document import check_answer

MINUTE = timedelta(minutes=1)


def add(conn, source="coingecko", *, fetched=1000, new=900, rejected=0, took=60, **columns):
    """Insert a whole run like any other, or one that differs in what is given."""
    started_at = columns.pop("started_at", NOON)
    row = {
        "records_fetched": fetched,
        "records_new": new,
        "records_rejected": rejected,
        "records_unchanged": fetched - new - rejected,
        "prices_compared": 900,
        "started_at": started_at,
        "finished_at": started_at + timedelta(seconds=took),
        "cursor_before": None,
        **columns,
    }
    return add_run(conn, source, **row)


def history(conn, source="coingecko", runs=6):
    for number in range(runs):
        add(conn, source, fetched=1000 + number, new=900 + number, took=60 + number)


def anomalies(client, query=""):
    return client.get(f"/runs/anomalies?{query}").json["data"]["anomalies"]


def rules(client, query=""):
    return [(each["rule"], each["side"]) for each in anomalies(client, query)]


@pytest.mark.parametrize(
    ("run", "fired"),
    [
        ({}, []),
        ({"fetched": 950, "new": 880}, []),
        ({"fetched": 850, "new": 800}, [("volume", "low")]),
        ({"fetched": 1300, "new": 1250}, [("volume", "high")]),
        ({"took": 85}, []),
        ({"took": 100}, [("duration", "high")]),
        ({"took": 1}, []),
        ({"rejected": 15}, []),
        ({"rejected": 30}, [("rejects", "high")]),
        ({"new": 500}, []),
        ({"new": 100}, [("frozen", "low")]),
        ({"prices_jumped": 10}, []),
        ({"prices_jumped": 50}, [("jumping", "high")]),
        ({"prices_jumped": 5, "prices_compared": 5}, []),
        (
            {"fetched": 100, "new": 0, "took": 300, "rejected": 50, "prices_jumped": 500},
            [
                ("volume", "low"),
                ("duration", "high"),
                ("rejects", "high"),
                ("frozen", "low"),
                ("jumping", "high"),
            ],
        ),
    ],
)
def test_a_run_stands_out_by_volume_duration_rejects_frozen_and_jumping_values(
    client, engine, run, fired
):
    with engine.begin() as conn:
        history(conn)
        last = add(conn, **run)

    assert rules(client) == fired
    of_run = client.get(f"/runs/{last}").json["data"]["anomalies"]
    assert [(each["rule"], each["side"]) for each in of_run] == fired


def test_an_anomaly_says_what_was_expected_and_what_that_rests_on(client, engine):
    with engine.begin() as conn:
        history(conn)
        run = add(conn, fetched=500, new=450)

    response = client.get("/runs/anomalies?limit=1")
    check_answer(client.get("/openapi.json").json, "/runs/anomalies", response)
    [told] = anomalies(client)

    # The median of 1000 to 1005 is 1002.5, their MAD 1.5; 3.5 * 1.5 / 0.6745 is less than the
    # 10 % that a snapshot may lack by what is declared of the source.
    assert told == {
        "run_id": run,
        "source": "coingecko",
        "started_at": "2026-01-31T12:00:00.000000Z",
        "outcome": "succeeded",
        "rule": "volume",
        "side": "low",
        "value": 500,
        "expected_low": 902.25,
        "expected_high": 1203,
        "median": 1002.5,
        "mad": 1.5,
        "earlier_runs": 6,
        "detail": "records: 500; at least 902.25 and at most 1203 expected by the 6 good runs "
        "before it",
    }


def test_a_spread_history_is_judged_by_its_spread(client, engine):
    with engine.begin() as conn:
        for fetched in (1000, 1100, 1200, 1300, 1400, 1500, 1600):
            add(conn, fetched=fetched, new=fetched)
        add(conn, fetched=2300, new=2300)
        add(conn, fetched=2400, new=2400)

    # The median is 1300, the MAD 200: 3.5 * 200 / 0.6745 = 1037.8; then 1350 and 200.
    found = {each["value"]: each["expected_high"] for each in anomalies(client)}
    assert found == {2400: Decimal("2387.805782").__float__()}


def test_no_later_run_is_looked_at(client, engine):
    with engine.begin() as conn:
        history(conn)
        judged = add(conn, fetched=500, new=450)
        for _ in range(20):
            add(conn, fetched=500, new=450)

    of_run = client.get(f"/runs/{judged}").json["data"]["anomalies"]

    assert [each["rule"] for each in of_run] == ["volume"]
    assert of_run[0]["median"] == 1002.5


def test_what_has_become_usual_stands_out_no_more(client, engine):
    with engine.begin() as conn:
        history(conn)
        made = [add(conn, fetched=500, new=450) for _ in range(30)]

    assert min(each["run_id"] for each in anomalies(client)) == made[0]
    assert max(each["run_id"] for each in anomalies(client)) < made[10]


def test_the_last_twenty_good_runs_are_looked_at_and_no_others(client, engine):
    with engine.begin() as conn:
        for _ in range(30):
            add(conn, fetched=500, new=450)
        for _ in range(15):
            add(conn, command="import", fetched=9, new=9)
            add(conn, outcome="failed", reason="unreachable", fetched=9, new=9)
            add(conn, "coinpaprika", fetched=9, new=9)
        for _ in range(20):
            add(conn)
        last = add(conn, fetched=500, new=450)

    [told] = client.get(f"/runs/{last}").json["data"]["anomalies"]

    assert (told["median"], told["mad"], told["earlier_runs"]) == (1000, 0, 20)


def test_one_earlier_run_is_enough_for_what_vanished_or_jumped_and_five_for_the_rest(
    client, engine
):
    with engine.begin() as conn:
        first = add(conn)
        early = add(conn, fetched=100, new=1, rejected=50, prices_jumped=900, ids_replaced=60)

    def fired(run: int) -> list[str] | None:
        found = client.get(f"/runs/{run}").json["data"]["anomalies"]
        return found if found is None else [each["rule"] for each in found]

    assert fired(first) is None
    assert fired(early) == ["volume", "jumping", "vanished"]
    assert client.get("/runs/anomalies").json["data"]["examined"] == {
        "runs": 2,
        "judged": 1,
        "newest_run_id": early,
        "oldest_run_id": first,
    }
    with engine.begin() as conn:
        history(conn, runs=LEAST_HISTORY - 2)
        late = add(conn, fetched=1000, new=10)
    assert fired(late) == ["frozen"]


@pytest.mark.parametrize(
    "columns",
    [
        {"command": "import"},
        {"command": "retry"},
        {"outcome": "partial", "reason": "stopped"},
        {"outcome": "failed", "reason": "unreachable"},
        {"outcome": "failed", "reason": "interrupted"},
        {"outcome": "running", "finished_at": None},
    ],
)
def test_imports_and_runs_that_broke_off_are_not_judged(client, engine, columns):
    with engine.begin() as conn:
        history(conn)
        run = add(conn, fetched=1, new=1, **columns)

    assert client.get(f"/runs/{run}").json["data"]["anomalies"] is None
    assert rules(client) == []


def test_a_run_that_came_to_its_end_is_judged_however_it_ended(client, engine):
    with engine.begin() as conn:
        history(conn)
        add(conn, outcome="partial", reason="fewer_records", fetched=10, new=9)

    assert rules(client) == [("volume", "low")]
    assert list(JUDGED) == [
        "too_many_rejects",
        "empty_answer",
        "fewer_records",
        "fewer_than_listed",
        "more_rejects",
        "frozen",
        "ids_changed",
        "prices_shifted",
        "unreadable_values",
        "differing_rows",
        "drift",
    ]


def test_a_run_that_went_on_with_anothers_snapshot_is_not_judged_by_its_size(client, engine):
    with engine.begin() as conn:
        history(conn)
        add(conn, fetched=10, new=9, took=900, cursor_before={"page": 9})

    assert rules(client) == []


def test_records_of_pages_that_had_not_changed_count_as_seen(client, engine):
    with engine.begin() as conn:
        history(conn)
        add(conn, fetched=600, new=600, records_known=400)

    assert rules(client) == []


def test_what_two_of_the_earlier_runs_had_as_well_does_not_stand_out(client, engine):
    with engine.begin() as conn:
        history(conn, runs=10)
        add(conn, new=0)
        add(conn, new=0)
        add(conn, new=0)

    assert [each["run_id"] for each in anomalies(client)] == [12, 11]


def test_after_a_checkpoint_was_cleared_only_what_came_then_is_usual(client, engine):
    with engine.begin() as conn:
        history(conn)
        before = add(conn, fetched=500, new=450)
        first = add(conn, fetched=500, new=450, started_at=NOON + 2 * MINUTE)
        add_checkpoint(conn, first, cleared_at=NOON + MINUTE)

    assert client.get(f"/runs/{first}").json["data"]["anomalies"] is None
    assert [each["run_id"] for each in anomalies(client)] == [before]


def test_files_have_no_usual_volume_and_no_usual_share_of_rejects(client, engine):
    assert EXPECTATIONS["csv"].min_snapshot_share is None
    with engine.begin() as conn:
        history(conn, "csv")
        add(conn, "csv", fetched=100_000, new=0, rejected=50_000)

    assert rules(client) == []


def test_anomalies_are_found_by_source_and_time_and_limited_by_runs(client, engine):
    with engine.begin() as conn:
        history(conn)
        history(conn, "coinpaprika")
        one = add(conn, fetched=500, new=450)
        two = add(conn, "coinpaprika", fetched=500, new=450, started_at=NOON + MINUTE)

    def found(query=""):
        return [each["run_id"] for each in anomalies(client, query)]

    assert found() == [two, one]
    assert found("source=coingecko") == [one]
    assert found("since=2026-01-31T12:00:30Z") == [two]
    assert found(f"before={two}") == [one]
    assert found("limit=1") == [two]
    more = client.get("/runs/anomalies?limit=1").headers["Link"]
    assert more == f'</runs/anomalies?limit=1&before={two}>; rel="next"'
    assert client.get("/runs/anomalies?limit=1000").headers.get("Link") is None


def test_the_earlier_runs_are_found_through_the_index_of_good_runs(client, engine):
    with engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO runs (source, command, outcome, host, pid, started_at, finished_at,"
                " records_fetched, records_new) SELECT 'coingecko', 'run', 'succeeded', 'h', 1,"
                " now(), now() + interval '1 minute', 1000, 1000 FROM generate_series(1, 20000)"
            )
        )
    told = client.get("/runs/anomalies?limit=1000")
    assert told.status_code == 200
    assert told.json["data"]["examined"]["judged"] == 1000
