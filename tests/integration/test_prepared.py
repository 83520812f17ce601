"""A session plans the queries of a batch a few times, however many batches it loads."""

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from tests.fakes.batches import COINGECKO, batch, market, open_run
from tests.fakes.databases import engine_on, worker_engine_on
from worker.database.prepared import reusable
from worker.ingest.batch import transaction

PREPARED = text("SELECT name, statement, custom_plans FROM pg_prepared_statements")
NAMES = text("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%is called often%'")

OFTEN = reusable(text("SELECT 10 % CAST(:number AS integer) -- is called often"))


@pytest.fixture
def session(database_url: URL):
    with engine_on(database_url) as engine, engine.connect() as conn:
        yield conn


def call(conn: Connection, number: int) -> tuple[int, list[str]]:
    with conn.begin():
        answer = conn.scalar(OFTEN, {"number": number})
        return answer, [*conn.scalars(NAMES)]


def test_a_query_is_prepared_and_planned_anew_after_1_2_4_and_8_calls(session: Connection):
    names = []
    for number in range(1, 17):
        answer, [name] = call(session, number)
        assert answer == 10 % number
        names.append(name)

    assert len(set(names)) == 1


def test_a_query_that_failed_is_executed_again(session: Connection):
    assert call(session, 3)[0] == 1
    for _ in range(2):
        with pytest.raises(DBAPIError, match="division by zero"):
            call(session, 0)
        assert call(session, 4)[0] == 2


def test_each_session_prepares_for_itself(session: Connection, database_url: URL):
    call(session, 3)
    with engine_on(database_url) as other, other.connect() as conn:
        assert call(conn, 3)[0] == 1


def test_the_queries_of_batches_are_prepared_once_each_and_have_one_plan(database_url: URL):
    with worker_engine_on(database_url) as engine, engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        for price in range(1, 6):
            at = f"2026-01-02T12:0{price}:00.000Z"
            records = batch(COINGECKO, market("bitcoin", "btc", "Bitcoin", price, at))
            assert transaction.load_batch(conn, COINGECKO.name, run_id, records).new == 1
        with conn.begin():
            prepared = conn.execute(PREPARED).all()

    texts = [each.statement.partition(" AS ")[2] for each in prepared]
    assert any("INSERT INTO fresh" in each for each in texts)
    assert len(set(texts)) == len(texts)
    assert {each.custom_plans for each in prepared} == {0}
