"""`/health/ready` reports the last result of a background thread, and never waits for Postgres."""

import socket

import pytest
from sqlalchemy import text

from tests.fakes.api import api_on
from tests.fakes.gunicorn import until

END_ALL = text(
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'kasparro-api'"
)


def ready(client):
    return client.get("/health/ready")


def test_a_server_that_says_nothing_is_away(reader_url):
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        url = reader_url.set(host="127.0.0.1", port=silent.getsockname()[1], query={})
        with api_on(url) as client:
            answers = [ready(client) for _ in range(20)]

    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json["code"] for answer in answers} == {"database_unavailable"}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert answers[0].json["data"]["database"] == {"status": "fail"}


def test_a_connection_that_the_server_dropped_is_replaced(client, conn, caplog):
    assert ready(client).status_code == 200

    for _ in range(3):
        assert all(conn.scalars(END_ALL).all())
        until(lambda: ready(client).status_code == 200)

    assert [record for record in caplog.records if record.name == "api.database.heartbeat"] == []


def test_requests_that_hold_every_connection_leave_it_ready(client):
    database = client.application.extensions["database"]
    held = [database.engine.connect() for _ in range(4)]

    answers = [ready(client).status_code for _ in range(5)]

    for each in held:
        each.close()
    assert answers == [200] * 5


def test_a_database_without_a_schema_is_not_ready(reader_url, engine):
    with engine.begin() as owner:
        owner.execute(text("DROP TABLE alembic_version"))

    with api_on(reader_url) as client:
        answer = ready(client)

    assert answer.status_code == 503
    assert answer.json["code"] == "schema_not_ready"


@pytest.mark.parametrize("database", ["nowhere", None])
def test_how_often_it_failed_is_counted(reader_url, database):
    url = reader_url.set(database=database) if database else reader_url
    with api_on(url) as client:
        answers = [ready(client).status_code for _ in range(3)]
        counted = client.get("/metrics").text

    failed = 3 if database else 0
    assert answers == [503 if database else 200] * 3
    series = 'kasparro_database_failures_total{code="database_unavailable"}'
    [line] = [line for line in counted.splitlines() if line.startswith(series)]
    assert float(line.split()[1]) >= failed
