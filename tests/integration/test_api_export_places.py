"""Exports that run at once, take too long, or end before their end."""

import re

import pytest
from sqlalchemy import text
from werkzeug.exceptions import ServiceUnavailable

from api.responses.export import Exports
from tests.fakes.api import add_asset
from tests.fakes.exports import ADD_MANY, GZIP, MANY, begin, busy
from tests.fakes.gunicorn import until


@pytest.fixture
def many(conn):
    conn.execute(ADD_MANY, {"many": MANY})


@pytest.mark.usefixtures("many")
def test_there_are_only_so_many_at_once(client):
    begun = [begin(client, environ_base={"REMOTE_ADDR": f"192.0.2.{n}"}) for n in range(2)]
    one, two = (answer for answer, *_ in begun)

    for ask in (client.get, client.head):
        refused = ask("/data/export")
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "5"
    refused = client.get("/data/export").json
    assert refused["code"] == "exports_busy"
    assert "this server already runs as many exports" in refused["detail"]
    assert client.get("/data").status_code == 200  # for which there are connections left

    one.close()
    assert client.get("/data/export").status_code == 200
    two.close()
    assert busy(client) == 0


@pytest.mark.usefixtures("many")
def test_a_client_has_one_at_once_and_leaves_the_other_place_to_others(client):
    answer, *_ = begin(client)

    refused = client.get("/data/export")
    other = client.get("/data/export", environ_base={"REMOTE_ADDR": "192.0.2.1"})

    assert (refused.status_code, refused.json["code"]) == (503, "exports_busy")
    assert refused.headers["Retry-After"] == "5"
    assert "of this client" in refused.json["detail"]
    assert other.status_code == 200
    answer.close()
    assert client.get("/data/export").status_code == 200


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("headers", [{}, GZIP])
def test_who_has_the_whole_file_may_ask_for_another_at_once(client, headers):
    answer, content, rest = begin(client, headers=headers)
    while len(content) < int(answer.headers["Content-Length"]):
        content += next(rest)

    assert client.get("/data/export").status_code == 200  # and nobody has closed the first
    answer.close()


@pytest.mark.usefixtures("many")
def test_one_that_takes_too_long_to_describe_is_a_problem(client):
    client.application.extensions["exports"] = Exports(max_seconds=0.0)

    refused = client.get("/data/export")

    assert (refused.status_code, refused.json["code"]) == (503, "query_timeout")
    assert refused.headers["Retry-After"] == "5"
    assert busy(client) == 0


@pytest.mark.usefixtures("many")
def test_the_database_is_timed_and_its_connection_counted_until_the_file_is_sent(client, caplog):
    def held():
        [found] = re.findall(r"^kasparro_database_connections_in_use (.*)$", scrape(), re.MULTILINE)
        return float(found)

    def scrape():
        return client.get("/metrics").text

    caplog.set_level("INFO")
    answer, _, rest = begin(client)
    during = held()
    assert len(list(rest)) > 0
    answer.close()

    assert (during, held()) == (1, 0)
    [line] = [each for each in caplog.records if getattr(each, "route", 0) == "/data/export"]
    assert 0 < line.db_ms <= line.ms


@pytest.mark.usefixtures("many")
def test_a_client_that_leaves_gives_its_place_and_a_clean_connection_back(client, conn):
    for _ in range(5):
        answer, *_ = begin(client)
        answer.close()
        unread = client.get("/data/export", buffered=False)
        assert unread.status_code == 200
        unread.close()

    assert busy(client) == 0
    states = text(
        "SELECT DISTINCT state FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'kasparro-api'"
    )
    until(lambda: conn.scalars(states).all() == ["idle"])
    with client.application.extensions["database"].connect() as own:
        assert own.connection.dbapi_connection.autocommit
        assert own.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
        assert own.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
        first = own.exec_driver_sql("SELECT now()").scalar()
        assert own.exec_driver_sql("SELECT now()").scalar() > first  # no transaction is open


@pytest.mark.usefixtures("many")
def test_a_file_that_cannot_be_finished_is_not_ended_as_if_it_were(client, conn):
    answer, first, rest = begin(client)
    conn.execute(
        text(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'kasparro-api'"
        )
    )

    with pytest.raises(ServiceUnavailable):
        list(rest)
    answer.close()
    failures = 'kasparro_database_failures_total{code="database_unavailable"} 1.0'
    assert failures in client.get("/metrics").text

    assert len(first) < int(answer.headers["Content-Length"])
    assert busy(client) == 0
    until(lambda: client.get("/data/export").status_code == 200)


def test_a_file_that_cannot_be_begun_is_a_problem(client, conn):
    add_asset(conn, "bitcoin")
    conn.execute(text("ALTER TABLE assets RENAME TO gone"))

    answer = client.get("/data/export")

    assert (answer.status_code, answer.json["code"]) == (503, "schema_not_ready")
    assert busy(client) == 0
