"""`/health`: the state of the database and of each source."""

from datetime import datetime, timedelta

from alembic.script import ScriptDirectory
from sqlalchemy import func, insert, select, text

from shared.model.catalogue import SOURCES
from shared.schema.base import SCHEMA_REVISION
from shared.schema.raw import RAW
from tests.fakes.api import NOON, add_checkpoint, add_run, api_on
from tests.fakes.databases import make_room
from tests.fakes.gunicorn import until
from worker.maintenance.migrate import alembic_config


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
        times = [now - timedelta(days=9), now - timedelta(days=7)]
        make_room(engine.url, *times)
        for at in times:
            conn.execute(insert(raw).values(observed_at=at, **values))

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
