"""How a source is judged by its last run and by the age of its data."""

from datetime import timedelta

import pytest

from api.queries.operations.freshness import assess, assess_source, find_stale
from shared.model.catalogue import EXPECTATIONS
from tests.fakes.api import NOON

MINUTE = timedelta(minutes=1)
TURN = 5 * MINUTE

GOOD, PARTIAL, FAILED = (
    {"outcome": "succeeded"},
    {"outcome": "partial", "reason": "frozen"},
    {"outcome": "failed", "reason": "http_503"},
)


def assessed(name="coingecko", turn=TURN, **parts):
    """Judge a source at NOON that does well but for these parts, times in minutes before."""
    known = {"last_run": GOOD, "last_success_at": 1, "failing_since": None, "observed_at": 2}
    parts = {**known, **parts}
    for each in ("last_success_at", "failing_since", "observed_at"):
        if parts[each] is not None:
            parts[each] = NOON - parts[each] * MINUTE
    return assess_source({"now": NOON, **parts}, EXPECTATIONS[name], turn)


@pytest.mark.parametrize(
    ("parts", "status", "reason", "since"),
    [
        ({}, "pass", None, None),
        ({"last_success_at": 15, "observed_at": 15}, "pass", None, None),
        ({"last_success_at": 16}, "warn", "late", 1),
        ({"last_success_at": 60}, "warn", "late", 45),
        ({"last_success_at": 61}, "fail", "late", 46),
        ({"observed_at": 16}, "warn", "outdated", 1),
        ({"observed_at": 61}, "fail", "outdated", 46),
        ({"observed_at": None}, "pass", None, None),
        ({"observed_at": -9}, "pass", None, None),
        ({"last_run": None, "last_success_at": None}, "warn", "no_run", None),
        ({"last_run": FAILED, "failing_since": 4}, "warn", "http_503", 4),
        ({"last_run": FAILED, "failing_since": 15}, "warn", "http_503", 15),
        ({"last_run": FAILED, "failing_since": 16}, "fail", "http_503", 16),
        (
            {"last_run": FAILED, "failing_since": 9, "last_success_at": None},
            "warn",
            "http_503",
            9,
        ),
        (
            {"last_run": FAILED, "failing_since": 16, "last_success_at": None},
            "fail",
            "http_503",
            16,
        ),
        ({"last_run": PARTIAL, "failing_since": 4}, "warn", "frozen", 4),
        ({"last_run": PARTIAL, "failing_since": 50, "last_success_at": 55}, "warn", "frozen", 50),
        ({"last_run": PARTIAL, "failing_since": 58, "last_success_at": 63}, "fail", "frozen", 58),
        (
            {"last_run": PARTIAL, "failing_since": 61, "last_success_at": None},
            "fail",
            "frozen",
            61,
        ),
    ],
)
def test_a_source_is_judged_by_its_last_run_and_by_the_age_of_its_data(
    parts, status, reason, since
):
    told = assessed(**parts)

    assert (told["status"], told["reason"]) == (status, reason)
    assert told["since"] == (NOON - since * MINUTE if since else None)
    assert (told["detail"] is None) == (status == "pass")


def test_the_detail_names_every_trouble_and_the_target():
    told = assessed(last_run=FAILED, failing_since=20, last_success_at=25, observed_at=26)

    assert told["detail"] == (
        "the last run failed: http_503; "
        "no run has succeeded since 2026-01-31 11:35:00Z (target: 15 min); "
        "the source's newest data is of 2026-01-31 11:34:00Z (target: 15 min)"
    )


def test_the_target_is_never_shorter_than_three_turns():
    hourly = 60 * MINUTE
    told = assessed(turn=hourly, last_success_at=179, observed_at=179)

    assert told["status"] == "pass"
    assert told["expected"]["freshness_target_seconds"] == 3 * 3600
    assert assessed(turn=hourly, last_success_at=181)["reason"] == "late"


def test_files_may_be_old_but_must_be_looked_at():
    assert assessed("csv", observed_at=1_000_000)["status"] == "pass"
    assert assessed("csv", last_success_at=16)["reason"] == "late"


def test_the_time_that_runs_take_lengthens_the_turn():
    each = {"now": NOON, "last_run": GOOD, "last_success_at": NOON - 30 * MINUTE}
    each |= {"observed_at": NOON, "failing_since": None}
    slow = {**each, "source": "coingecko", "usually_takes": 14 * MINUTE}
    quick = {**each, "source": "coinpaprika", "usually_takes": None}

    assert assess([slow, quick], 5 * MINUTE)["status"] == "pass"
    assert assess([quick], 5 * MINUTE)["status"] == "warn"


@pytest.mark.parametrize(
    ("source", "parts", "is_stale"),
    [
        ("coingecko", {"last_run": None, "observed_at": None}, False),
        ("coingecko", {"last_run": None, "observed_at": 10}, False),
        ("coingecko", {"last_run": None, "observed_at": 60}, True),
        ("csv", {"last_run": None, "observed_at": None}, False),
        ("csv", {"last_run": None, "observed_at": 1_000_000}, False),
        ("csv", {"last_run": FAILED, "failing_since": 1, "observed_at": None}, True),
        ("coingecko", {"last_run": FAILED, "failing_since": 1, "observed_at": None}, True),
        ("csv", {"last_run": GOOD, "last_success_at": 60, "observed_at": None}, True),
        ("csv", {"last_run": GOOD, "last_success_at": 1, "observed_at": 1_000_000}, False),
    ],
)
def test_a_source_that_never_ran_is_stale_by_its_data_alone(source, parts, is_stale):
    known = {"last_success_at": None, "failing_since": None, "usually_takes": None, **parts}
    times = ("last_success_at", "failing_since", "observed_at")
    at = {each: known[each] and NOON - known[each] * MINUTE for each in times}

    stale = list(find_stale([{"source": source, "now": NOON, **known, **at}], TURN))

    assert stale == ([source] if is_stale else [])
