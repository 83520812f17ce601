"""`/health` and `/stats`: what is said of the database and of each source's loading."""

from datetime import datetime, timedelta

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import func, insert, select, text

from api.freshness import assess, assess_source
from shared.expectations import EXPECTATIONS
from shared.settings import SOURCES
from shared.tables import RAW, SCHEMA_REVISION
from tests.fakes.api import NOON, add_asset, add_checkpoint, add_listing, add_run, api_on
from tests.fakes.gunicorn import until
from worker.migrate import alembic_config

MINUTE = timedelta(minutes=1)
TURN = 5 * MINUTE
RECORDS = {
    "records_fetched": 10,
    "records_new": 5,
    "records_unchanged": 3,
    "records_rejected": 2,
}


GOOD, PARTIAL, FAILED = (
    {"outcome": "succeeded"},
    {"outcome": "partial", "reason": "frozen"},
    {"outcome": "failed", "reason": "http_503"},
)


def assessed(name="coingecko", turn=TURN, **parts):
    """Judge a source at NOON that does well but for these parts, times in minutes before."""
    known = {"last_run": GOOD, "last_success_at": 1, "failing_since": None, "observed_at": 2}
    parts = {**known, **parts}
    for each in ("last_success_at", "failing_since", "observed_at"):
        if parts[each] is not None:
            parts[each] = NOON - parts[each] * MINUTE
    return assess_source({"now": NOON, **parts}, EXPECTATIONS[name], turn)


@pytest.mark.parametrize(
    ("parts", "status", "reason", "since"),
    [
        ({}, "pass", None, None),
        ({"last_success_at": 15, "observed_at": 15}, "pass", None, None),
        ({"last_success_at": 16}, "warn", "late", 1),
        ({"last_success_at": 60}, "warn", "late", 45),
        ({"last_success_at": 61}, "fail", "late", 46),
        ({"observed_at": 16}, "warn", "outdated", 1),
        ({"observed_at": 61}, "fail", "outdated", 46),
        ({"observed_at": None}, "pass", None, None),
        ({"observed_at": -9}, "pass", None, None),
        ({"last_run": None, "last_success_at": None}, "warn", "no_run", None),
        ({"last_run": FAILED, "failing_since": 4}, "warn", "http_503", 4),
        ({"last_run": FAILED, "failing_since": 15}, "warn", "http_503", 15),
        ({"last_run": FAILED, "failing_since": 16}, "fail", "http_503", 16),
        (
            {"last_run": FAILED, "failing_since": 9, "last_success_at": None},
            "warn",
            "http_503",
            9,
        ),
        (
            {"last_run": FAILED, "failing_since": 16, "last_success_at": None},
            "fail",
            "http_503",
            16,
        ),
        ({"last_run": PARTIAL, "failing_since": 4}, "warn", "frozen", 4),
        ({"last_run": PARTIAL, "failing_since": 50, "last_success_at": 55}, "warn", "frozen", 50),
        ({"last_run": PARTIAL, "failing_since": 58, "last_success_at": 63}, "fail", "frozen", 58),
        (
            {"last_run": PARTIAL, "failing_since": 61, "last_success_at": None},
            "fail",
            "frozen",
            61,
        ),
    ],
)
def test_a_source_is_judged_by_its_last_run_and_by_the_age_of_its_data(
    parts, status, reason, since
):
    told = assessed(**parts)

    assert (told["status"], told["reason"]) == (status, reason)
    assert told["since"] == (NOON - since * MINUTE if since else None)
    assert (told["detail"] is None) == (status == "pass")


def test_the_detail_names_every_trouble_and_the_target():
    told = assessed(last_run=FAILED, failing_since=20, last_success_at=25, observed_at=26)

    assert told["detail"] == (
        "the last run failed: http_503; "
        "no run has succeeded since 2026-01-31 11:35:00Z, and 15 min old is the target; "
        "the source's newest data is of 2026-01-31 11:34:00Z, and 15 min old is the target"
    )


def test_the_target_is_never_shorter_than_three_turns():
    hourly = 60 * MINUTE
    told = assessed(turn=hourly, last_success_at=179, observed_at=179)

    assert told["status"] == "pass"
    assert told["expected"]["freshness_target_seconds"] == 3 * 3600
    assert assessed(turn=hourly, last_success_at=181)["reason"] == "late"


def test_files_may_be_old_but_must_be_looked_at():
    assert assessed("csv", observed_at=1_000_000)["status"] == "pass"
    assert assessed("csv", last_success_at=16)["reason"] == "late"


def test_the_time_that_runs_take_lengthens_the_turn():
    each = {"now": NOON, "last_run": GOOD, "last_success_at": NOON - 30 * MINUTE}
    each |= {"observed_at": NOON, "failing_since": None}
    slow = {**each, "source": "coingecko", "usually_takes": 14 * MINUTE}
    quick = {**each, "source": "coinpaprika", "usually_takes": None}

    assert assess([slow, quick], 5 * MINUTE)["status"] == "pass"
    assert assess([quick], 5 * MINUTE)["status"] == "warn"


def test_all_is_well_when_every_source_is(client, engine):
    with engine.begin() as conn:
        now = conn.scalar(select(func.now()))
        for name in SOURCES:
            run = add_run(conn, name, finished_at=now)
            add_checkpoint(conn, run, name, last_success_at=now)

    health = client.get("/health")

    assert health.status_code == 200
    assert health.json["data"]["status"] == "pass"
    assert health.json["data"]["database"] == {"status": "pass"}
    assert [each["source"] for each in health.json["data"]["sources"]] == [
        "csv",
        "coinpaprika",
        "coingecko",
        "coingecko_coins",
        "coinpaprika_contracts",
    ]


def test_the_whole_does_as_well_as_the_source_that_does_worst(engine, reader_url):
    with engine.begin() as conn:
        now = conn.scalar(select(func.now()))
        add_run(conn, "coinpaprika", started_at=now, finished_at=now)
        add_run(conn, outcome="failed", reason="long over", started_at=NOON - timedelta(days=1))
        add_run(conn)
        first = add_run(conn, outcome="failed", reason="http_503", error="secret stuff")
        failed = add_run(
            conn,
            outcome="failed",
            reason="timeout",
            started_at=NOON + timedelta(minutes=5),
            finished_at=NOON + timedelta(minutes=6),
        )
        add_run(conn, command="import", outcome="failed", reason="drift")
        running = add_run(conn, outcome="running")
        add_checkpoint(conn, failed, last_success_at=NOON, last_failure_at=NOON.replace(minute=9))

    with api_on(reader_url, SOURCES="coingecko,coinpaprika") as client:
        response = client.get("/health")

    assert response.status_code == 200
    assert response.json["data"]["status"] == "fail"
    coingecko, coinpaprika = response.json["data"]["sources"]
    assert coinpaprika["status"] == "pass"
    assert coingecko["status"] == "fail"
    assert coingecko["reason"] == "timeout"
    assert coingecko["detail"].startswith(
        "the last run failed: timeout; no run has succeeded since"
    )
    assert coingecko["since"] == "2026-01-31T12:00:00.000000Z", f"of run {first}, the first to fail"
    assert coingecko["last_run"]["id"] == failed
    assert coingecko["last_success_at"] == "2026-01-31T12:00:02.500000Z"
    assert coingecko["last_failure_at"] == "2026-01-31T12:06:00.000000Z", "of a run"
    assert coingecko["running"] == {"id": running, "started_at": "2026-01-31T12:00:00.000000Z"}
    assert "secret" not in response.text


def test_imports_and_runs_told_to_stop_say_nothing_of_a_source(engine, reader_url):
    with engine.begin() as conn:
        now = conn.scalar(select(func.now()))
        good = add_run(conn, started_at=now, finished_at=now)
        add_run(
            conn,
            outcome="failed",
            reason="not_json",
            command="import",
            started_at=now,
            finished_at=now,
        )
        add_run(conn, outcome="partial", reason="stopped", started_at=now, finished_at=now)
        add_run(conn, "csv", outcome="failed", reason="no_file", finished_at=now)
        add_run(conn, "csv", command="import", started_at=now, finished_at=now)

    with api_on(reader_url, SOURCES="coingecko,csv") as client:
        coingecko, csv = client.get("/health").json["data"]["sources"]

    assert (coingecko["status"], coingecko["last_run"]["id"]) == ("pass", good)
    assert (csv["status"], csv["reason"], csv["last_success_at"]) == ("fail", "no_file", None)


def test_a_source_that_answers_with_old_data_is_outdated(engine, reader_url):
    raw = RAW["coingecko"]
    with engine.begin() as conn:
        now = conn.scalar(select(func.now()))
        run = add_run(conn, started_at=now, finished_at=now)
        values = {"run_id": run, "external_id": "a", "payload_hash": b"h", "payload": {}}
        for age in (timedelta(days=9), timedelta(days=7)):
            conn.execute(insert(raw).values(observed_at=now - age, **values))

    with api_on(reader_url, SOURCES="coingecko") as client:
        [coingecko] = client.get("/health").json["data"]["sources"]

    assert (coingecko["status"], coingecko["reason"]) == ("fail", "outdated")
    assert datetime.fromisoformat(coingecko["observed_at"]) == now - timedelta(days=7)
    assert datetime.fromisoformat(coingecko["since"]) > now - timedelta(days=7)


def test_a_run_that_the_machine_slept_through_does_not_lengthen_the_target(engine, reader_url):
    with engine.begin() as conn:
        for _ in range(2):
            add_run(conn, finished_at=NOON + timedelta(minutes=10))
        add_run(conn, finished_at=NOON + timedelta(days=3))

    with api_on(reader_url, SOURCES="coingecko") as client:
        [coingecko] = client.get("/health").json["data"]["sources"]

    assert coingecko["expected"]["freshness_target_seconds"] == 3 * (300 + 600)


def test_what_is_expected_of_a_source_is_shown(client):
    csv, coinpaprika, _, coins, _ = client.get("/health").json["data"]["sources"]

    # A run takes no time here, so a turn is the interval of 300 s.
    assert coinpaprika["expected"] == {
        "freshness_target_seconds": 1200,
        "fresh_for_seconds": 1200,
        "min_snapshot_share": 0.9,
        "max_reject_share": 0.1,
        "max_reject_rise": 0.02,
        "max_unchanged_seconds": 1800,
        "min_new_share": 0.01,
        "max_jumped_share": 0.5,
        "read_every_seconds": None,
        "delisted_after_snapshots": 3,
        "delisted_after_seconds": 6 * 3600,
    }
    assert coins["expected"]["read_every_seconds"] == 24 * 3600
    assert coins["expected"]["freshness_target_seconds"] == 48 * 3600
    assert csv["expected"]["freshness_target_seconds"] == 900
    assert csv["expected"]["fresh_for_seconds"] is None
    assert csv["expected"]["max_unchanged_seconds"] is None


def test_live_needs_no_database(reader_url):
    with api_on(reader_url.set(database="nowhere")) as client:
        assert client.get("/health/live").json["data"] == {"status": "pass"}
        assert client.get("/health/ready").status_code == 503


def test_ready_when_the_schema_is_the_one_expected(client, engine):
    assert client.get("/health/ready").json["data"] == {
        "status": "pass",
        "schema_revision": SCHEMA_REVISION,
    }

    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    problem = until(lambda: (answer := client.get("/health/ready")).status_code == 503 and answer)

    assert problem.json["code"] == "schema_not_ready"
    assert "'9999'" in problem.json["detail"]
    assert problem.json["data"]["status"] == "fail"


def test_the_revision_expected_is_the_last_migration():
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == SCHEMA_REVISION


def test_a_database_without_a_schema_is_not_ready_and_says_how_to_get_one(empty_database_url):
    with api_on(empty_database_url) as client:
        for path in ("/health", "/health/ready", "/data", "/data/bitcoin", "/stats"):
            response = client.get(path)
            assert response.status_code == 503, path
            assert response.json["code"] == "schema_not_ready"
            assert "worker migrate" in response.json["detail"]


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
