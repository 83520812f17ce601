"""Reloading and ending the API while it is asked without a pause."""

import itertools
import signal
import threading

import pytest
import requests
from sqlalchemy import text

from tests.fakes.api import add_asset
from tests.fakes.gunicorn import GIVE_UP, serving, until

PATHS = ("/data", "/health/live", "/", "/openapi.json")


class Asking:
    """Asks without a pause, until told to stop, on new connections or on kept ones."""

    def __init__(self, url: str, *, keep: bool) -> None:
        self.url, self.keep = url, keep
        self.answers: list[tuple[str, int]] = []
        self.retried = 0
        self.error: Exception | None = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            with requests.Session() as session:
                for path in itertools.cycle(PATHS):
                    if self.stop.is_set():
                        return
                    self.answers.append((path, self._get(session, path).status_code))
        except Exception as exc:  # noqa: BLE001  the test looks at it
            self.error = exc

    def _get(self, session, path):
        if not self.keep:
            return requests.get(self.url + path, timeout=GIVE_UP)
        try:
            return session.get(self.url + path, timeout=GIVE_UP)
        except requests.ConnectionError:  # it was closed while idle, as any connection may be
            self.retried += 1
            return requests.get(self.url + path, timeout=GIVE_UP)


@pytest.fixture
def gunicorn(engine, reader_url, tmp_path):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin")
    with serving(reader_url, tmp_path, API_RATE_LIMIT="1000000/hour") as gunicorn:
        yield gunicorn


def left(answer):
    return int(answer.headers["RateLimit"].split(";")[1].removeprefix("r="))


def test_a_reload_drops_no_request_and_forgets_no_count(gunicorn):
    before = left(gunicorn.get("/data"))
    asking = [Asking(gunicorn.url, keep=keep) for keep in (True, False, True, False)]
    try:
        for _ in range(2):
            old = set(until(lambda: len(gunicorn.workers) == 2 and gunicorn.workers))
            answered = [len(each.answers) for each in asking]
            gunicorn.process.send_signal(signal.SIGHUP)
            until(lambda old=old: len(gunicorn.workers) == 2 and not old & {*gunicorn.workers})
            until(
                lambda answered=answered: all(
                    len(each.answers) > count + 20
                    for each, count in zip(asking, answered, strict=True)
                )
            )
    finally:
        for each in asking:
            each.stop.set()
            each.thread.join()

    assert [each.error for each in asking] == [None] * len(asking)
    answers = {answer for each in asking for answer in each.answers}
    # a busy machine may let the first connection to the database wait longer than a request does
    assert answers - {("/data", 503)} == {(path, 200) for path in PATHS}
    counted = sum(len(each.answers) * 3 // 4 for each in asking)
    assert before - left(gunicorn.get("/data")) >= counted - len(asking)


@pytest.mark.slow
def test_the_workers_count_together(reader_url, tmp_path):
    with serving(reader_url, tmp_path, API_RATE_LIMIT="50/hour") as gunicorn:
        until(lambda: len(gunicorn.workers) == 2)
        answers = [gunicorn.get("/data").status_code for _ in range(60)]

    assert answers == [200] * 50 + [429] * 10


@pytest.mark.slow
def test_requests_under_way_are_answered_before_it_ends(engine, gunicorn):
    answers = []
    with engine.connect() as conn:
        conn.execute(text("LOCK assets IN ACCESS EXCLUSIVE MODE"))
        waiting = [
            threading.Thread(target=lambda: answers.append(gunicorn.get("/data").status_code))
            for _ in range(3)
        ]
        for each in waiting:
            each.start()
        until(lambda: conn.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) == 3)
        gunicorn.process.send_signal(signal.SIGTERM)
        until(lambda: "Handling signal: term" in gunicorn.log.read_text())
        conn.rollback()
    for each in waiting:
        each.join()

    assert gunicorn.process.wait(GIVE_UP) == 0
    assert answers == [200] * 3


@pytest.mark.slow
def test_clients_that_say_nothing_do_not_hold_up_the_end(gunicorn):
    with requests.Session() as kept:
        assert kept.get(f"{gunicorn.url}/data", timeout=GIVE_UP).status_code == 200
        assert gunicorn.stop() == 0
