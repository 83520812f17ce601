"""`/stats`: records, runs and checkpoints, by source and in total."""

from datetime import timedelta

from tests.fakes.api import NOON, add_asset, add_checkpoint, add_listing, add_run

RECORDS = {
    "records_fetched": 10,
    "records_new": 5,
    "records_unchanged": 3,
    "records_rejected": 2,
}


def test_stats_of_a_source_that_never_ran_are_zero(client):
    stats = client.get("/stats").json["data"]

    nothing = {"fetched": 0, "new": 0, "unchanged": 0, "rejected": 0}
    none = {"succeeded": 0, "partial": 0, "failed": 0}
    common = {
        "records": nothing,
        "recent_runs": none,
        "records_per_second": None,
        "success_rate": None,
        "lag_seconds": {"newest_observation": None, "last_success": None},
        "open_rejects": 0,
        "open_drift": 0,
    }
    assert stats["totals"] == {"assets": 0, "listings": 0, **common}
    assert stats["sources"][0] == {
        "source": "csv",
        **common,
        "duration_seconds": {"last": None, "average": None, "median": None},
        "last_run_phase_seconds": None,
        "last_success_at": None,
        "last_failure_at": None,
        "last_run": None,
        "running": None,
        "checkpoint": None,
        "next_run_at": None,
        "budget": None,
    }


def test_stats_sum_up_what_each_source_has_done(client, engine):
    with engine.begin() as conn:
        add_run(conn, outcome="failed", reason="http_503")
        add_run(conn, finished_at=NOON + timedelta(seconds=5))
        last = add_run(conn, "coingecko", **RECORDS)
        add_run(conn, outcome="running")
        add_checkpoint(
            conn,
            last,
            cursor={"page": 3, "at": 1},
            batches=4,
            last_success_at=NOON,
            updated_at=NOON,
            **RECORDS,
        )
        add_checkpoint(conn, add_run(conn, "csv"), "csv", **RECORDS)
        add_listing(conn, add_asset(conn, "bitcoin"), "csv", "a")

    stats = client.get("/stats").json["data"]

    records = {"fetched": 10, "new": 5, "unchanged": 3, "rejected": 2}
    coingecko = stats["sources"][2]
    assert coingecko["records"] == records
    assert coingecko["recent_runs"] == {"succeeded": 2, "partial": 0, "failed": 1}
    assert coingecko["duration_seconds"] == {"last": 2.5, "average": 3.333, "median": 2.5}
    assert coingecko["checkpoint"] == {
        "cursor": {"page": 3, "at": 1},
        "run_id": last,
        "batches": 4,
        "updated_at": "2026-01-31T12:00:00.000000Z",
    }
    assert coingecko["last_run"] == {
        "id": last,
        "command": "run",
        "outcome": "succeeded",
        "reason": None,
        "started_at": "2026-01-31T12:00:00.000000Z",
        "finished_at": "2026-01-31T12:00:02.500000Z",
        "duration_seconds": 2.5,
        "records": records,
    }
    totals = stats["totals"]
    assert (totals["assets"], totals["listings"]) == (1, 1)
    assert totals["records"] == {name: 2 * count for name, count in records.items()}


def test_averages_are_of_the_last_hundred_runs(client, engine):
    with engine.begin() as conn:
        for _ in range(3):
            add_run(conn, finished_at=NOON + timedelta(hours=1))
        for _ in range(100):
            add_run(conn)

    coingecko = client.get("/stats").json["data"]["sources"][2]

    assert coingecko["recent_runs"]["succeeded"] == 100
    assert coingecko["duration_seconds"]["average"] == 2.5
