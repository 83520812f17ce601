"""The connector: connections within a deadline, and quick refusals while there are none."""

import threading

import psycopg2
import pytest

from api.database.connector import MAX_OVERDUE, Connector
from api.request.problems import DatabaseUnavailableError

LONG = 3600.0
SHORT = 0.02


class Connection:
    """What is opened; it only knows whether it was closed."""

    closed = False

    def close(self):
        self.closed = True


class Database:
    """Something to connect to, that is up, down, or silent until told otherwise."""

    def __init__(self):
        self.attempts = 0
        self.down = False
        self.answers = threading.Event()
        self.answers.set()
        self.opened = []
        self.answered = threading.Semaphore(0)

    def connect(self):
        self.attempts += 1
        self.answers.wait(60)
        if self.down:
            raise psycopg2.OperationalError("connection refused")
        self.opened.append(Connection())
        return self.opened[-1]


@pytest.fixture
def database():
    database = Database()
    yield database
    database.answers.set()


def test_while_all_is_well_each_call_opens_a_connection(database):
    connector = Connector(database.connect)

    assert connector() is not connector()
    assert database.attempts == 2


def test_after_a_failure_calls_are_refused_without_an_attempt(database):
    connector = Connector(database.connect, pause=LONG)
    database.down = True

    for _ in range(3):
        with pytest.raises(DatabaseUnavailableError):
            connector()

    assert database.attempts == 1


def test_after_the_pause_one_call_tries_again_and_finds_the_database_back(database, caplog):
    caplog.set_level("INFO")
    connector = Connector(database.connect, pause=0)
    database.down = True
    for _ in range(3):
        with pytest.raises(DatabaseUnavailableError):
            connector()

    database.down = False
    connector()
    connector()

    assert database.attempts == 5
    assert [record.message for record in caplog.records] == [
        "the database could not be reached",
        "the database was reached again",
    ]
    assert caplog.records[0].reason == "connection refused"


def test_a_silent_database_is_given_up_at_the_deadline(database):
    connector = Connector(database.connect, deadline=SHORT, pause=LONG)
    database.answers.clear()

    with pytest.raises(DatabaseUnavailableError):
        connector()
    with pytest.raises(DatabaseUnavailableError):
        connector()

    assert database.attempts == 1


def test_a_late_connection_goes_to_the_next_call(database):
    connector = Connector(database.connect, deadline=SHORT, pause=LONG)
    database.answers.clear()
    with pytest.raises(DatabaseUnavailableError):
        connector()
    [attempt] = [each for each in threading.enumerate() if each.name == "connect to Postgres"]

    database.answers.set()
    attempt.join()

    assert connector() is database.opened[0]
    connector()
    assert database.attempts == 2


def test_a_late_connection_that_nobody_asks_for_is_closed_with_the_connector(database):
    connector = Connector(database.connect, deadline=SHORT, pause=LONG)
    database.answers.clear()
    with pytest.raises(DatabaseUnavailableError):
        connector()
    [attempt] = [each for each in threading.enumerate() if each.name == "connect to Postgres"]
    database.answers.set()
    attempt.join()

    connector.close()

    assert database.opened[0].closed


def test_attempts_that_hang_are_limited_in_number(database):
    connector = Connector(database.connect, deadline=SHORT, pause=0)
    database.answers.clear()

    for _ in range(3 * MAX_OVERDUE):
        with pytest.raises(DatabaseUnavailableError):
            connector()

    assert database.attempts == MAX_OVERDUE
