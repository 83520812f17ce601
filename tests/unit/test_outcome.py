"""The outcome of a completed run, compared with what its source normally brings."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.model.catalogue import EXPECTATIONS
from shared.model.expectations import Expectations
from shared.model.runs import REASONS
from worker.ingest.judging.ending import Baseline, Ending, RunFacts
from worker.ingest.judging.outcome import judge, judge_import

EXPECTS = Expectations(
    fresh_for=timedelta(minutes=15),
    min_snapshot_share=Decimal("0.9"),
    max_reject_share=Decimal("0.1"),
    max_reject_rise=Decimal("0.02"),
    max_unchanged_for=timedelta(minutes=30),
)
FOUND = RunFacts(seen=1000, new=600, rejected=0, snapshot=1000)
NORMAL = Baseline(
    snapshot=1000,
    reject_shares=(Decimal("0.01"),) * 3,
    unchanged_for=timedelta(minutes=5),
)
FILES = EXPECTATIONS["csv"]


def reason(*, expects=EXPECTS, normal=NORMAL, **found):
    ending = judge("feed", expects, replace(FOUND, **found), normal)
    assert ending.outcome == REASONS.get(ending.reason, "succeeded")
    return ending.reason


def test_a_normal_run_succeeds():
    assert judge("feed", EXPECTS, FOUND, NORMAL) == Ending("succeeded")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"snapshot": 900}, None),
        ({"snapshot": 899}, "fewer_records"),
        ({"snapshot": 5000}, None),
        ({"snapshot": 0, "seen": 0, "new": 0}, "empty_answer"),
        ({"rejected": 30}, None),
        ({"rejected": 31}, "more_rejects"),
        ({"rejected": 100}, "more_rejects"),
        ({"rejected": 101}, "too_many_rejects"),
        ({"unreadable": 100}, None),
        ({"unreadable": 101}, "unreadable_values"),
    ],
)
def test_a_run_is_judged_by_what_is_normal_for_its_source(found, expected):
    assert reason(**found) == expected


def test_a_resumed_run_is_judged_with_the_runs_that_it_continues():
    rest = RunFacts(seen=250, new=0, rejected=0, snapshot=1000, revised=200, unreadable=40)
    before = RunFacts(seen=500, new=0, rejected=50, snapshot=None, revised=400, unreadable=60)

    found = rest.after(before)

    # 250 of the whole snapshot were answered 304 before.
    assert found == RunFacts(1000, 0, 50, 1000, revised=600, unreadable=100)
    suspected = replace(NORMAL, suspicion="prices_shifted")
    assert judge("feed", EXPECTS, rest.after(replace(before, rejected=0)), suspected).reason is None


@pytest.mark.parametrize(
    ("new", "minutes", "expected"),
    [
        (0, 30, None),
        (0, 31, "frozen"),
        (9, 31, "frozen"),
        (10, 31, None),
        (600, 10_000, None),
    ],
)
def test_a_source_is_frozen_if_almost_nothing_was_new_for_too_long(new, minutes, expected):
    normal = replace(NORMAL, unchanged_for=timedelta(minutes=minutes))

    assert reason(new=new, normal=normal) == expected


def test_a_first_run_has_no_baseline():
    assert reason(normal=Baseline(), snapshot=3, seen=3, new=0) is None
    assert reason(normal=Baseline(), rejected=100) is None


def test_an_empty_first_response_is_a_failure():
    assert reason(normal=Baseline(), snapshot=0, seen=0, new=0) == "empty_answer"


@pytest.mark.parametrize(("shares", "expected"), [((0, 0), None), ((0, 0, 0), "more_rejects")])
def test_a_share_of_rejects_is_normal_only_after_some_runs(shares, expected):
    normal = replace(NORMAL, reject_shares=[Decimal(share) for share in shares])

    assert reason(rejected=50, normal=normal) == expected


def test_one_odd_run_does_not_change_what_is_normal():
    normal = replace(NORMAL, reject_shares=[Decimal("0.09"), Decimal(0), Decimal(0)])

    assert reason(rejected=50, normal=normal) == "more_rejects"


def test_a_resumed_run_is_judged_by_the_whole_snapshot():
    assert reason(seen=50, new=49, rejected=1, snapshot=1000) is None


@pytest.mark.parametrize(
    ("found", "normal", "expected"),
    [
        ({"new": 0}, Baseline(unchanged_for=timedelta(days=400)), None),
        ({"rejected": 90}, NORMAL, None),
        ({"unreadable": 1000}, NORMAL, None),
        ({"rejected": 101}, NORMAL, "too_many_rejects"),
        ({"seen": 0, "new": 0}, NORMAL, None),
        ({"seen": 0, "new": 0}, Baseline(last_reason="too_many_rejects"), "too_many_rejects"),
        ({"seen": 0, "new": 0}, Baseline(last_reason="differing_rows"), "differing_rows"),
        ({"seen": 0, "new": 0}, Baseline(last_reason="no_file"), None),
    ],
)
def test_files_are_judged_by_their_rejects_alone(found, normal, expected):
    assert reason(expects=FILES, normal=normal, snapshot=None, **found) == expected


def test_other_failures_take_precedence_over_frozen():
    normal = replace(NORMAL, unchanged_for=timedelta(days=1))

    assert reason(seen=0, new=0, snapshot=0, normal=normal) == "empty_answer"
    assert reason(new=0, rejected=1000, normal=normal) == "too_many_rejects"


def test_an_import_has_no_normal_size_and_no_age():
    assert judge_import("feed", EXPECTS, RunFacts(3, 0, 0, 3)).outcome == "succeeded"
    assert judge_import("feed", EXPECTS, RunFacts(0, 0, 0, 0)).reason == "empty_answer"
    assert judge_import("feed", EXPECTS, RunFacts(10, 0, 2, 10)).reason == "too_many_rejects"
    unread = RunFacts(10, 10, 0, 10, unreadable=2)
    assert judge_import("feed", EXPECTS, unread).reason == "unreadable_values"


@pytest.mark.parametrize(
    ("found", "minutes", "figures"),
    [
        (
            {"snapshot": 500},
            5,
            ["500 records", "about 1000 were expected", "checkpoint clear feed"],
        ),
        ({"snapshot": 0}, 5, ["no record", "about 1000 were expected", "stored data is unchanged"]),
        ({"rejected": 50}, 5, ["50 of 1000", "5.0%", "1.0%", "worker rejects list"]),
        ({"rejected": 500}, 5, ["500 of 1000", "10%", "worker rejects list"]),
        ({"new": 2}, 45, ["2 of 1000", "45 min", "every 30 min", "status page"]),
    ],
)
def test_a_reason_gives_what_was_found_what_was_expected_and_what_to_do(found, minutes, figures):
    normal = replace(NORMAL, unchanged_for=timedelta(minutes=minutes))

    error = judge("feed", EXPECTS, replace(FOUND, **found), normal).error

    assert error.startswith("feed: ")
    for figure in figures:
        assert figure.lower() in error.lower()
