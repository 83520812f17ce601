"""Statements that a connection prepares: from the second use on, and not where that fails."""

import logging

import pytest
from sqlalchemy import text

from api.database.pool import read
from api.database.prepared import MAX_STATEMENTS
from api.queries.statements import Statement
from tests.fakes.api import UNCACHED, add_asset

API_SETTINGS = UNCACHED

PREPARED = text("SELECT name FROM pg_prepared_statements WHERE name LIKE 'kasparro%'")
DOUBLED = Statement(text("SELECT 2 * CAST(:number AS integer)"), prepared=True)


@pytest.fixture
def reading(client):
    with client.application.app_context(), read() as conn:
        yield conn


def test_a_statement_is_prepared_from_its_second_use_on(reading):
    for number, prepared in ((1, 0), (2, 1), (3, 1)):
        assert DOUBLED.execute(reading, {"number": number}) == [(2 * number,)]
        assert len(reading.scalars(PREPARED).all()) == prepared


def test_a_connection_keeps_so_many_and_those_that_were_used_last(reading):
    statements = [
        Statement(text(f"SELECT {number}"), prepared=True) for number in range(MAX_STATEMENTS + 3)
    ]
    for number, statement in enumerate(statements):
        for _ in range(2):
            assert statement.execute(reading, {}) == [(number,)]

    assert len(reading.scalars(PREPARED).all()) == MAX_STATEMENTS
    assert statements[0].execute(reading, {}) == [(0,)]


def test_where_a_connection_is_no_session_statements_go_out_as_they_are(reading, caplog):
    """As behind a pooler of transactions, which gives each statement another session."""
    caplog.set_level(logging.INFO)
    for number in (1, 2):
        DOUBLED.execute(reading, {"number": number})
    reading.execute(text("DEALLOCATE ALL"))

    for number in (3, 4, 5):
        assert DOUBLED.execute(reading, {"number": number}) == [(2 * number,)]
    assert reading.scalars(PREPARED).all() == []
    [line] = [each for each in caplog.records if each.message == "statements are not prepared"]
    assert "does not exist" in line.reason


def test_a_prepared_statement_sees_a_change_of_the_schema(client, conn):
    add_asset(conn, "bitcoin")
    before = [client.get("/data/bitcoin").json["data"] for _ in range(3)]
    conn.execute(text("ALTER TABLE assets ADD COLUMN later integer"))

    assert client.get("/data/bitcoin").json["data"] == before[0]
    assert client.get("/data?page_size=5").json["data"][0]["slug"] == "bitcoin"
    conn.execute(text("ALTER TABLE assets DROP COLUMN later"))
