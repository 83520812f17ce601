"""How a run's time is counted by phase."""

import pytest

from tests.fakes.answers import Answer
from tests.fakes.rate_limiter import MemoryRateLimiter
from tests.fakes.upstream import Upstream
from worker.fetch.client import Http
from worker.ingest.runs.phases import Phases
from worker.sources.base import Request
from worker.stopping import StopEvent


class Clock:
    """A clock that every look at moves on by a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def test_a_phase_takes_what_its_blocks_take_less_what_is_counted_for_others():
    clock = Clock()
    phases = Phases(clock)

    with phases.timing("check", apart_from=["fetch", "wait"]):
        with phases.timing("fetch", apart_from=["wait"]):
            clock.seconds += 10
            phases.add("wait", 4)
        clock.seconds += 2

    assert phases.taken() == {"wait": 4, "fetch": 7, "check": 4, "load": 0, "commit": 0}


def test_what_breaks_off_is_counted_too():
    clock = Clock()
    phases = Phases(clock)

    def break_off() -> None:
        clock.seconds += 5
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), phases.timing("load"):
        break_off()

    assert phases.taken()["load"] == 6


def test_the_time_to_come_by_each_item_is_counted_and_not_what_is_done_with_it():
    clock = Clock()
    phases = Phases(clock)

    for _ in phases.each("check", iter("abc")):
        clock.seconds += 100

    assert phases.taken()["check"] == 4


def test_a_fetch_counts_what_it_waited_for_the_rate_limiter_and_between_attempts():
    clock = Clock()
    pauses = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        clock.seconds += seconds

    with Upstream(assets=3) as upstream:
        upstream.answers(Answer(status=503))
        rate_limiter = MemoryRateLimiter(1, clock)
        with Http("coingecko", rate_limiter, StopEvent(), clock=clock, wait=wait) as fetch:
            assert fetch.waited == 0
            fetch(Request(f"{upstream.coingecko_url}/coins/markets", {"vs_currency": "usd"}))

    assert fetch.retries == 1
    assert sum(pauses) > 50
    assert fetch.waited == pytest.approx(sum(pauses) + len(pauses))  # each look at it is a second
