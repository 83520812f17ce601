"""What one client has under way at once: lists of the past, and what others are left with."""

import contextlib
import threading

import pytest
from sqlalchemy import text

from api.request.problems import PastBusyError, TooManyAtOnceError
from tests.fakes.api import NOON, add_asset, add_listing, add_observation, api_on
from tests.fakes.gunicorn import until

AS_OF = {"as_of": "2026-01-31T13:00:00Z"}
OTHER = {"REMOTE_ADDR": "192.0.2.7"}
THIRD = {"REMOTE_ADDR": "192.0.2.8"}
WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kasparro-api' "
    "AND datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def past(engine, conn):
    """Something to be seen of the past; a function that holds up who asks for it."""
    listing = add_listing(conn, add_asset(conn, "bitcoin"), "coingecko", "bitcoin")
    add_observation(conn, listing, price_usd=5, observed_at=NOON)

    @contextlib.contextmanager
    def locked():
        with engine.begin() as owner:
            owner.execute(text("LOCK listing_names IN ACCESS EXCLUSIVE MODE"))
            yield lambda many: until(lambda: conn.scalar(WAITING) == many)

    return locked


@contextlib.contextmanager
def asking(client, environ_base=None, **query):
    """Ask for the past in a thread, until the end of the `with` block and of the answer."""
    answers = []
    asked = client.application.test_client()

    def ask():
        query_string = {**AS_OF, **query}
        answers.append(
            asked.get("/data", query_string=query_string, environ_base=environ_base or {})
        )

    thread = threading.Thread(target=ask)
    thread.start()
    yield answers
    thread.join()


def test_one_client_has_one_list_of_the_past_under_way_and_others_have_theirs(client, past):
    with contextlib.ExitStack() as stack, past() as waits_for:
        mine = stack.enter_context(asking(client))
        waits_for(1)
        again = client.get("/data", query_string={**AS_OF, "page_size": 7})
        theirs = stack.enter_context(asking(client, environ_base=OTHER))
        waits_for(2)
        third = client.get("/data", query_string=AS_OF, environ_base=THIRD)
        present = client.get("/data")
    free = client.get("/data", query_string=AS_OF)

    assert (again.status_code, again.json["code"]) == (429, TooManyAtOnceError.problem)
    assert again.headers["Retry-After"] == "1"
    assert (third.status_code, third.json["code"]) == (503, PastBusyError.problem)
    assert third.headers["Retry-After"] == "2"
    assert [answer.status_code for answer in (present, free)] == [200, 200]
    assert {answer.json.get("code") for answer in (*mine, *theirs)} <= {None, "query_timeout"}


def test_how_many_are_under_way_can_be_configured(reader_url, past):
    one = api_on(reader_url, API_PAST_AT_ONCE="1")
    with one as client, contextlib.ExitStack() as stack, past() as waits_for:
        mine = stack.enter_context(asking(client))
        waits_for(1)
        busy = client.get("/data", query_string=AS_OF, environ_base=OTHER)

    assert busy.json["code"] == PastBusyError.problem
    assert len(mine) == 1


def test_a_list_of_the_past_that_is_cached_takes_no_place(client, past):
    def is_cached():
        answer = client.get("/data", query_string=AS_OF)
        return "desc=hit" in answer.headers["Server-Timing"]

    until(is_cached)
    with contextlib.ExitStack() as stack, past() as waits_for:
        stack.enter_context(asking(client, page_size="7"))
        waits_for(1)
        cached = client.get("/data", query_string=AS_OF)
        another = client.get("/data", query_string={**AS_OF, "page_size": 8})

    assert cached.status_code == 200
    assert another.status_code == 429
