"""Rounds over sources, of which some take long."""

import threading
from collections.abc import Iterator

import pytest
import structlog

from shared.errors import DatabaseUnavailableError
from worker.ingest.batch.contents import Counts
from worker.ingest.judging.ending import Ending
from worker.ingest.loop import Rounds, run_once
from worker.ingest.runs.options import Result

PROVIDERS = {"slow": "desk", "slow_list": "desk", "quick": "other"}


class World:
    """Sources of which `slow` waits until it is let go; `began` lists them as they start."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.let_go = threading.Event()
        self.began: list[str] = []

    def run(self, name: str) -> Result:
        self.began.append(name)
        if name == "slow":
            self.let_go.wait(30)
        return Result(name, 1, Ending("succeeded"), Counts())

    def rounds(self, patience: float = 0.01) -> Rounds:
        return Rounds(self.run, self.stop, PROVIDERS.__getitem__, patience)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.let_go.set()


def names(results: list[Result]) -> list[str]:
    return [result.source for result in results]


def test_a_source_that_takes_long_does_not_hold_up_the_next(world):
    rounds = world.rounds()

    assert names(rounds.go_round(["slow", "quick"]).results) == ["quick"]

    world.let_go.set()
    assert names(rounds.settle().results) == ["slow"]


def test_sources_of_one_provider_never_run_together(world):
    rounds = world.rounds()

    rounds.go_round(["slow", "slow_list", "quick"])
    assert world.began == ["slow", "quick"]

    world.let_go.set()
    assert sorted(names(rounds.settle().results)) == ["slow", "slow_list"]


def test_the_next_round_leaves_out_what_is_still_at_work(world):
    rounds = world.rounds()
    rounds.go_round(["slow", "quick"])

    with structlog.testing.capture_logs() as lines:
        again = rounds.go_round(["slow", "quick"])

    assert names(again.results) == ["quick"]
    assert world.began == ["slow", "quick", "quick"]
    (line,) = lines
    assert (line["event"], line["source"]) == (
        "source is still at work; it has no turn this time",
        "slow",
    )
    world.let_go.set()
    rounds.settle()


def test_quick_sources_run_one_after_the_other_in_their_order(world):
    world.let_go.set()

    done = run_once(["slow", "slow_list", "quick"], world.run, world.stop, PROVIDERS.__getitem__)

    assert world.began == names(done.results) == ["slow", "slow_list", "quick"]


def test_results_of_one_pass_are_in_the_order_of_the_sources(world):
    threading.Timer(0.2, world.let_go.set).start()

    done = run_once(["slow", "quick"], world.run, world.stop, PROVIDERS.__getitem__, 0.01)

    assert names(done.results) == ["slow", "quick"]


def test_a_database_that_goes_away_under_a_slow_source_ends_the_next_round(world):
    def run(name: str) -> Result:
        result = world.run(name)
        if name == "slow":
            raise DatabaseUnavailableError("the database went away")
        return result

    rounds = Rounds(run, world.stop, PROVIDERS.__getitem__, 0.01)
    rounds.go_round(["slow", "quick"])
    world.let_go.set()

    ended = rounds.settle()

    with pytest.raises(DatabaseUnavailableError, match="went away"):
        ended.raise_unowned()


def test_what_ended_well_is_told_beside_a_database_that_went_away(world):
    def run(name: str) -> Result:
        result = world.run(name)
        if name == "quick":
            world.let_go.set()
            raise DatabaseUnavailableError("the database went away")
        return result

    done = run_once(["slow", "quick", "last"], run, world.stop, str, 0.01)

    assert names(done.results) == ["slow"]
    assert [str(exc) for exc in done.unowned] == ["the database went away"]
    assert done.exit_code == 1
    assert "last" not in world.began


def test_a_source_that_is_queued_at_the_stop_does_not_start(world):
    rounds = world.rounds()
    rounds.go_round(["slow", "slow_list"])

    world.stop.set()
    world.let_go.set()

    assert names(rounds.settle().results) == ["slow"]
    assert world.began == ["slow"]
