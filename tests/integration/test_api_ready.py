"""The API serves at one schema alone, and can change nothing in any way that SQL knows."""

import time

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from shared.schema.base import SCHEMA_REVISION
from tests.fakes.api import api_on
from tests.fakes.gunicorn import until
from worker.maintenance.migrate import alembic_config, downgrade, upgrade

CONNECTIONS = text("UPDATE pg_database SET datconnlimit = :most WHERE datname = current_database()")
END_ALL = text(
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'kasparro-api'"
)
REFUSED = r"permission denied|read-only transaction|must be (owner|superuser)"
SCRIPTS = ScriptDirectory.from_config(alembic_config())
BEFORE = SCRIPTS.get_revision(SCHEMA_REVISION).down_revision


def test_it_is_ready_before_and_after_but_not_at_the_schema_of_the_release_before(
    database_url, reader_url
):
    with api_on(reader_url) as client:
        ready = client.get("/health/ready")
        downgrade(database_url, BEFORE)
        older = until(lambda: (answer := client.get("/health/ready")).status_code == 503 and answer)
        upgrade(database_url)
        until(lambda: client.get("/health/ready").status_code == 200)

    assert ready.status_code == 200
    assert older.json["code"] == "schema_not_ready"
    assert f"'{BEFORE}', expected '{SCHEMA_REVISION}'" in older.json["detail"]
    assert int(older.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("revision", "status"), [(SCHEMA_REVISION, 200), ("9999", 503)])
def test_however_often_it_is_asked_it_asks_the_database_once_a_second(
    engine, reader_url, revision, status
):
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
    asked = []
    with api_on(reader_url) as client:
        own = client.application.extensions["database"].engine
        event.listen(own, "before_cursor_execute", lambda *_: asked.append(time.monotonic()))
        begun = time.monotonic()
        answers = {client.get("/health/ready").status_code for _ in range(200)}
        seconds = time.monotonic() - begun

    assert answers == {status}
    assert len(asked) <= 1 + seconds


def test_it_is_not_ready_at_once_when_its_database_is_gone(engine, reader_url):
    with api_on(reader_url) as client:
        assert client.get("/health/ready").status_code == 200
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(CONNECTIONS, {"most": 0})
            assert all(conn.scalars(END_ALL).all())
            gone = client.get("/health/ready")
            conn.execute(CONNECTIONS, {"most": -1})
        until(lambda: client.get("/health/ready").status_code == 200)

    assert gone.status_code == 503
    assert gone.json["code"] == "database_unavailable"


@pytest.mark.parametrize("revision", ["9999", "a1b2c3d4e5f6"])
def test_it_is_not_ready_at_the_schema_of_a_release_to_come(engine, reader_url, revision):
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})

    with api_on(reader_url) as client:
        newer = client.get("/health/ready")

    assert newer.status_code == 503
    assert f"{revision!r}, expected" in newer.json["detail"]


CHANGES = [
    "INSERT INTO assets (slug, symbol, name) VALUES ('x', 'X', 'X')",
    "UPDATE assets SET name = 'x'",
    "DELETE FROM runs",
    "TRUNCATE assets",
    "MERGE INTO assets USING runs ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
    "INSERT INTO api_keys (name, key_hash, scopes) VALUES ('x', '', '{data}')",
    "CREATE TABLE stolen (a integer)",
    "CREATE TABLE stolen AS SELECT * FROM assets",
    "CREATE FUNCTION stolen() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE assets ADD COLUMN stolen integer",
    "DROP TABLE assets",
    "SELECT * FROM assets FOR UPDATE",
    "DO $$ BEGIN LOCK TABLE assets IN EXCLUSIVE MODE; END $$",
    "SELECT nextval('asset_version')",
    "COPY assets TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
    "SET ROLE kasparro",
    "DO $$ BEGIN INSERT INTO assets (slug, symbol, name) VALUES ('x', 'X', 'X'); END $$",
]


@pytest.mark.parametrize(
    "before",
    [
        "SELECT 1",
        "SET default_transaction_read_only = off",
        "SET transaction_read_only = off",
        "BEGIN READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    ],
)
def test_no_statement_of_the_apis_login_changes_anything(reader_url, before):
    with api_on(reader_url) as client:
        engine = client.application.extensions["database"].engine
        for statement in CHANGES:
            with engine.connect() as conn:
                conn.exec_driver_sql(before)
                with pytest.raises(DBAPIError, match=REFUSED):
                    conn.exec_driver_sql(statement)
                conn.invalidate()
