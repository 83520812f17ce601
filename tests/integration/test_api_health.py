"""`/health` and `/stats`: what is said of the database and of each source's loading."""

from datetime import timedelta

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import func, select, text

from api.routes.health import assess_source
from shared.tables import SCHEMA_REVISION
from tests.fakes.api import NOON, add_asset, add_checkpoint, add_listing, add_run, api_on
from worker.migrate import alembic_config

INTERVAL = timedelta(minutes=5)
RECORDS = {
    "records_fetched": 10,
    "records_new": 5,
    "records_unchanged": 3,
    "records_rejected": 2,
}


@pytest.fixture
def client(reader_url):
    with api_on(reader_url) as client:
        yield client


def source(**parts):
    known = {"last_run": {"outcome": "succeeded"}, "last_success_at": NOON, "now": NOON}
    return {**known, **parts}


@pytest.mark.parametrize(
    ("parts", "status", "detail"),
    [
        ({}, "pass", None),
        ({"now": NOON + 3 * INTERVAL}, "pass", None),
        ({"now": NOON + 4 * INTERVAL}, "warn", "no run has succeeded in 3 intervals"),
        ({"last_success_at": None}, "warn", "no run has succeeded in 3 intervals"),
        ({"last_run": None}, "warn", "no run has finished yet"),
        (
            {"last_run": {"outcome": "partial", "reason": "too_few"}},
            "warn",
            "the last run was partial: too_few",
        ),
        (
            {"last_run": {"outcome": "failed", "reason": "http_503"}},
            "fail",
            "the last run failed: http_503",
        ),
    ],
)
def test_a_source_is_judged_by_its_last_run_and_its_age(parts, status, detail):
    assessed = assess_source(source(**parts), INTERVAL)

    assert (assessed["status"], assessed["detail"]) == (status, detail)


def test_all_is_well_when_every_source_is(client, engine):
    with engine.begin() as conn:
        now = conn.scalar(select(func.now()))
        for name in ("coinpaprika", "coingecko", "csv"):
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
    ]


def test_trouble_at_one_source_is_a_warning_with_its_reason(engine, reader_url):
    with engine.begin() as conn:
        add_run(conn)
        failed = add_run(conn, outcome="failed", reason="http_503", error="secret stuff")
        running = add_run(conn, outcome="running")
        add_checkpoint(conn, failed, last_success_at=NOON, last_failure_at=NOON.replace(minute=5))

    with api_on(reader_url, SOURCES="coingecko") as client:
        response = client.get("/health")

    assert response.status_code == 200
    assert response.json["data"]["status"] == "warn"
    [coingecko] = response.json["data"]["sources"]
    assert coingecko["status"] == "fail"
    assert coingecko["detail"] == "the last run failed: http_503"
    assert coingecko["last_run"]["id"] == failed
    assert coingecko["last_success_at"] == "2026-01-31T12:00:00Z"
    assert coingecko["last_failure_at"] == "2026-01-31T12:05:00Z"
    assert coingecko["running"] == {"id": running, "started_at": "2026-01-31T12:00:00Z"}
    assert "secret" not in response.text


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
    problem = client.get("/health/ready")

    assert problem.status_code == 503
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
    assert stats["totals"] == {"assets": 0, "listings": 0, "records": nothing}
    assert stats["sources"][0] == {
        "source": "csv",
        "records": nothing,
        "recent_runs": {"succeeded": 0, "partial": 0, "failed": 0},
        "duration_seconds": {"last": None, "average": None},
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
    assert coingecko["duration_seconds"] == {"last": 2.5, "average": 3.333}
    assert coingecko["checkpoint"] == {
        "cursor": {"page": 3, "at": 1},
        "run_id": last,
        "batches": 4,
        "updated_at": "2026-01-31T12:00:00Z",
    }
    assert coingecko["last_run"] == {
        "id": last,
        "command": "run",
        "outcome": "succeeded",
        "reason": None,
        "started_at": "2026-01-31T12:00:00Z",
        "finished_at": "2026-01-31T12:00:02.500000Z",
        "duration_seconds": 2.5,
        "records": records,
    }
    assert stats["totals"] == {
        "assets": 1,
        "listings": 1,
        "records": {name: 2 * count for name, count in records.items()},
    }


def test_averages_are_of_the_last_hundred_runs(client, engine):
    with engine.begin() as conn:
        for _ in range(3):
            add_run(conn, finished_at=NOON + timedelta(hours=1))
        for _ in range(100):
            add_run(conn)

    coingecko = client.get("/stats").json["data"]["sources"][2]

    assert coingecko["recent_runs"]["succeeded"] == 100
    assert coingecko["duration_seconds"]["average"] == 2.5
