"""Passes over sources, some of which are slow."""

import threading
from collections.abc import Iterator

import pytest
import structlog

from shared.errors import DatabaseUnavailableError
from worker.ingest.batch.contents import Counts
from worker.ingest.judging.ending import Ending
from worker.ingest.loop import PassRunner, run_once
from worker.ingest.runs.options import Result
from worker.stopping import StopEvent

PROVIDERS = {"slow": "desk", "slow_list": "desk", "quick": "other"}


class World:
    """Sources; `slow` waits until it is let go. `began` lists them in the order of their start."""

    def __init__(self) -> None:
        self.stop = StopEvent()
        self.let_go = threading.Event()
        self.began: list[str] = []

    def run(self, name: str) -> Result:
        self.began.append(name)
        if name == "slow":
            self.let_go.wait(30)
        return Result(name, 1, Ending("succeeded"), Counts())

    def runner(self, parallel_after: float = 0.01) -> PassRunner:
        return PassRunner(self.run, self.stop, PROVIDERS.__getitem__, parallel_after)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.let_go.set()


def names(results: list[Result]) -> list[str]:
    return [result.source for result in results]


def test_a_source_that_takes_long_does_not_hold_up_the_next(world):
    runner = world.runner()

    assert names(runner.run_pass(["slow", "quick"]).results) == ["quick"]

    world.let_go.set()
    assert names(runner.finish().results) == ["slow"]


def test_sources_of_one_provider_never_run_together(world):
    runner = world.runner()

    runner.run_pass(["slow", "slow_list", "quick"])
    assert world.began == ["slow", "quick"]

    world.let_go.set()
    assert sorted(names(runner.finish().results)) == ["slow", "slow_list"]


def test_the_next_pass_does_not_start_a_source_that_is_still_running(world):
    runner = world.runner()
    runner.run_pass(["slow", "quick"])

    with structlog.testing.capture_logs() as lines:
        again = runner.run_pass(["slow", "quick"])

    assert names(again.results) == ["quick"]
    assert world.began == ["slow", "quick", "quick"]
    (line,) = lines
    assert (line["event"], line["source"]) == (
        "source is still running; not started in this pass",
        "slow",
    )
    world.let_go.set()
    runner.finish()


def test_quick_sources_run_one_after_the_other_in_their_order(world):
    world.let_go.set()

    done = run_once(["slow", "slow_list", "quick"], world.run, world.stop, PROVIDERS.__getitem__)

    assert world.began == names(done.results) == ["slow", "slow_list", "quick"]


def test_results_of_one_pass_are_in_the_order_of_the_sources(world):
    threading.Timer(0.2, world.let_go.set).start()

    done = run_once(["slow", "quick"], world.run, world.stop, PROVIDERS.__getitem__, 0.01)

    assert names(done.results) == ["slow", "quick"]


def test_a_database_that_a_slow_source_loses_ends_the_next_pass(world):
    def run(name: str) -> Result:
        result = world.run(name)
        if name == "slow":
            raise DatabaseUnavailableError("the database went away")
        return result

    runner = PassRunner(run, world.stop, PROVIDERS.__getitem__, 0.01)
    runner.run_pass(["slow", "quick"])
    world.let_go.set()

    ended = runner.finish()

    with pytest.raises(DatabaseUnavailableError, match="went away"):
        ended.raise_fatal()


def test_successful_results_are_returned_beside_the_error_of_a_lost_database(world):
    def run(name: str) -> Result:
        result = world.run(name)
        if name == "quick":
            world.let_go.set()
            raise DatabaseUnavailableError("the database went away")
        return result

    done = run_once(["slow", "quick", "last"], run, world.stop, str, 0.01)

    assert names(done.results) == ["slow"]
    assert [str(exc) for exc in done.fatal] == ["the database went away"]
    assert done.exit_code == 1
    assert "last" not in world.began


def test_a_source_that_is_queued_at_the_stop_does_not_start(world):
    runner = world.runner()
    runner.run_pass(["slow", "slow_list"])

    world.stop.set()
    world.let_go.set()

    assert names(runner.finish().results) == ["slow"]
    assert world.began == ["slow"]
