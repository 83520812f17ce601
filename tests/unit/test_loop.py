import pytest

from shared.errors import (
    ConfigurationError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    LockedError,
    SchemaVersionError,
)
from worker.ingest.batch.contents import Counts
from worker.ingest.judging.ending import Ending
from worker.ingest.loop import run_forever, run_once
from worker.ingest.runs.options import Result
from worker.stopping import StopEvent


class Stop(StopEvent):
    """An event that notes how long it was to be waited for, and is set after so many waits."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        if len(self.waits) == self.after:
            self.set()
        return self.is_set()


def result(source: str, outcome: str = "succeeded", reason: str | None = None) -> Result:
    return Result(source, 1, Ending(outcome, reason), Counts())


def test_a_source_that_fails_does_not_stop_the_others():
    asked = []

    def run_source(name: str) -> Result:
        asked.append(name)
        return result(name, "failed" if name == "a" else "succeeded", "unreachable")

    done = run_once(["a", "b"], run_source, StopEvent())

    assert asked == ["a", "b"]
    assert done.exit_code == 1


def test_a_locked_source_is_exit_code_3_unless_another_failed():
    def run_source(name: str) -> Result:
        if name == "locked":
            raise LockedError("locked by worker run 1")
        return result(name, "succeeded" if name == "good" else "partial", name)

    stop = StopEvent()
    assert run_once(["locked", "good"], run_source, stop).exit_code == 3
    assert run_once(["locked", "bad"], run_source, stop).exit_code == 1
    assert run_once(["good"], run_source, stop).exit_code == 0


def test_being_told_to_stop_is_no_failure_and_leaves_the_rest_alone():
    stop = StopEvent()
    asked = []

    def run_source(name: str) -> Result:
        asked.append(name)
        stop.set()
        return result(name, "partial", "stopped")

    assert run_once(["a", "b"], run_source, stop).exit_code == 0
    assert asked == ["a"]


def test_a_database_that_is_away_is_tried_again_later_and_later():
    stop = Stop(after=9)

    def one_pass() -> None:
        raise DatabaseUnavailableError("database: connection refused")

    run_forever(one_pass, 300, stop)

    assert stop.waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_database_that_is_back_is_asked_at_the_interval_again():
    stop = Stop(after=4)
    away = iter([True, False, True, False])

    def one_pass() -> None:
        if next(away):
            raise DatabaseUnavailableError("database: connection refused")

    run_forever(one_pass, 300, stop)

    assert stop.waits == [1, 300, 1, 300]


def test_a_run_that_the_database_refuses_to_record_is_exit_code_1_and_does_not_stop_the_others():
    asked = []

    def run_source(name: str) -> Result:
        asked.append(name)
        if name == "a":
            raise DatabaseRefusedError("database: no space left on device", code="disk_full")
        return result(name)

    done = run_once(["a", "b"], run_source, StopEvent())

    assert asked == ["a", "b"]
    assert [refused.code for refused in done.refused] == ["disk_full"]
    assert done.exit_code == 1


@pytest.mark.parametrize("error", [ConfigurationError, SchemaVersionError])
def test_what_should_not_have_been_started_ends_the_loop_at_its_first_pass(error: type[Exception]):
    passes = iter([DatabaseUnavailableError("database: connection refused"), error("wrong")])

    def one_pass() -> None:
        raise next(passes)

    with pytest.raises(error, match="wrong"):
        run_forever(one_pass, 300, Stop(after=9))


def test_no_failing_pass_ends_a_loop_that_has_made_one():
    stop = Stop(after=8)
    passes = iter(
        [
            None,
            SchemaVersionError("the database's schema is at revision '0003'"),
            SchemaVersionError("the database's schema is at revision '0003'"),
            None,
            DatabaseRefusedError("database: no space left on device", code="disk_full"),
            ConfigurationError("CSV_PATH: no such folder"),
            ZeroDivisionError(),
            None,
        ]
    )

    def one_pass() -> None:
        if (error := next(passes)) is not None:
            raise error

    run_forever(one_pass, 300, stop)

    assert stop.waits == [300, 1, 2, 300, 300, 1, 300, 300]
