"""What the API does in the database, and what it answers where that is empty, slow or absent."""

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import InternalError, ProgrammingError

from api.database.pool import read, snapshot
from shared.schema.market import assets
from shared.schema.operations import runs
from tests.fakes.api import api_on
from tests.fakes.api_everything import add_everything
from tests.fakes.document import check_answer, example_url, read_document

DOCUMENT = read_document()
PATHS = tuple(DOCUMENT["paths"])


def test_an_answer_without_anything_loaded_is_as_described(client):
    for path in PATHS:
        check_answer(DOCUMENT, path, client.get(example_url(DOCUMENT, path)))


def test_an_answer_without_a_database_is_as_described(reader_url):
    with api_on(reader_url.set(database="nowhere")) as client:
        for path in PATHS:
            response = client.get(example_url(DOCUMENT, path))
            check_answer(DOCUMENT, path, response)
            if response.status_code == 503:
                assert response.headers["Retry-After"] == "1"
                assert response.json["code"] == "database_unavailable"


def test_a_statement_of_ours_that_postgres_refuses_is_a_problem(client):
    def broken():
        with read() as conn:
            conn.execute(text("SELECT 1/0"))

    client.application.add_url_rule("/broken", view_func=broken)

    assert client.get("/broken").status_code == 500


def test_a_query_that_takes_too_long_is_cancelled_and_said_so(client):
    def slow():
        with read() as conn:
            conn.execute(text("SET statement_timeout = '50ms'"))
            conn.execute(text("SELECT pg_sleep(60)"))

    client.application.add_url_rule("/slow", view_func=slow)
    response = client.get("/slow")

    assert response.status_code == 503
    assert response.json["code"] == "query_timeout"
    assert "Retry-After" in response.headers


def test_a_query_that_the_server_never_ends_is_broken_off(reader_url):
    def endless():
        with snapshot(max_seconds=0.1) as conn:
            conn.execute(text("SET statement_timeout = 0"))
            conn.execute(text("SELECT pg_sleep(600)"))

    with api_on(reader_url) as client:
        client.application.add_url_rule("/endless", view_func=endless)
        response = client.get("/endless")
        assert response.status_code == 503
        assert response.json["code"] == "database_unavailable"
        assert client.get("/data").status_code == 200


def test_every_request_is_logged_with_its_id_and_rows(client, conn, caplog):
    add_everything(conn)
    caplog.set_level("INFO")

    client.get("/data?q=x", headers={"X-Request-Id": "abc-1"})
    client.get("/data")
    client.get("/data/bitcoin")
    client.get("/nowhere")

    lines = [record for record in caplog.records if record.name == "api.request.access"]
    assert [(line.route, line.status, line.rows) for line in lines] == [
        ("/data", 200, 0),
        ("/data", 200, 2),
        ("/data/<asset>", 200, 1),
        (None, 404, 0),
    ]
    assert all(line.ms > 0 and line.bytes > 0 and line.client for line in lines)


def test_answers_are_not_sniffed_framed_or_kept(client):
    for path in ("/stats", "/nowhere"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Cache-Control"] == "no-store"


def test_forwarded_headers_change_nothing(client):
    forged = {
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1;host=evil.test",
    }

    response = client.get("/data", headers=forged)

    assert response.headers["Link"] == '</data>; rel="first"'
    assert "evil" not in response.text


WRITES = [
    insert(assets).values(slug="x", symbol="X", name="X"),
    runs.delete(),
    text("TRUNCATE assets"),
    text("CREATE TABLE stolen (a integer)"),
    text("SELECT nextval('asset_version')"),
]


@pytest.mark.parametrize("statement", WRITES, ids=str)
def test_the_api_cannot_write_even_when_it_is_given_the_owners_login(database_url, statement):
    with api_on(database_url) as client:
        engine = client.application.extensions["database"].engine
        with engine.connect() as conn, pytest.raises(InternalError, match="read-only transaction"):
            conn.execute(statement)


@pytest.mark.parametrize("statement", WRITES, ids=str)
def test_the_apis_role_cannot_write_even_in_a_transaction_that_may(client, statement):
    engine = client.application.extensions["database"].engine
    with engine.connect() as conn:
        conn.execute(text("SET default_transaction_read_only = off"))
        with pytest.raises(ProgrammingError, match="permission denied"):
            conn.execute(statement)
        conn.invalidate()


def test_the_apis_role_may_read_every_table(client, engine):
    reader = client.application.extensions["database"].engine
    with engine.connect() as owner:
        tables = owner.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all()
    with reader.connect() as conn:
        for table in tables:
            conn.exec_driver_sql(f"SELECT * FROM {table} LIMIT 1")
    assert "alembic_version" in tables
