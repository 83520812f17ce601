"""Bars, timelines and documents as the pages on sources, runs and quality show them."""

from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest

from api.dashboard.charts.bars import WIDTH, stacked
from api.dashboard.charts.timeline import RUNS_BOTTOM, RUNS_TOP, timeline
from api.dashboard.formats import numbers
from api.dashboard.formats.documents import members, pretty
from api.dashboard.pages.quality.rejects import fragment_of

TODAY = date(2026, 1, 31)
NONE = {"running": 0, "succeeded": 0, "partial": 0, "failed": 0}


def day(ago, lag=None, **runs):
    return {
        "date": TODAY - timedelta(days=ago),
        "runs": {**NONE, **runs},
        "max_lag_seconds": None if lag is None else Decimal(lag),
    }


def test_a_bar_has_its_parts_in_proportion_and_none_of_nothing():
    parts = stacked({"wait": Decimal(3), "fetch": Decimal(0), "load": Decimal(1), "commit": None})

    assert [(part.name, part.share) for part in parts] == [
        ("wait", Decimal("0.75")),
        ("load", Decimal("0.25")),
    ]
    assert parts[0].x + parts[0].width < parts[1].x
    assert parts[1].x + parts[1].width <= WIDTH
    assert stacked({"wait": None}) == []


def test_the_bar_of_a_day_is_as_high_whatever_the_number_of_its_runs():
    drawn = timeline([day(1, 60, succeeded=3, failed=1), day(0, 3700, succeeded=1)])

    for each in drawn.days:
        assert sum(part.height for part in each.segments) == RUNS_BOTTOM - RUNS_TOP
    assert [part.outcome for part in drawn.days[0].segments] == ["failed", "succeeded"]
    assert "2 days until 2026-01-31: 5 runs, 4 succeeded, 0 partial, 1 failed." in drawn.summary
    assert "was 1 h 1 min, on 2026-01-31" in drawn.summary


def test_a_day_without_a_success_is_a_gap_of_the_lag():
    drawn = timeline([day(3, failed=1), day(2, 60, succeeded=1), day(1), day(0, 90, succeeded=1)])

    assert len(drawn.lag.dots) == 2
    assert drawn.lag.parts == []
    assert "1 day without a run" in drawn.summary
    assert "No run has succeeded." in timeline([day(0, partial=1)]).summary


def test_without_runs_nothing_is_drawn():
    assert timeline([day(1), day(0)]) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ("0", "0 s"),
        ("0.254", "0.25 s"),
        ("59.5", "59.5 s"),
        ("65", "1 min 5 s"),
        ("7200", "2 h"),
        ("273600", "3 d 4 h"),
        ("-65", "\N{MINUS SIGN}1 min 5 s"),
    ],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert numbers.duration(Decimal(seconds)) == text


def test_counts_and_shares_are_written_for_people():
    assert numbers.whole(-17042) == "\N{MINUS SIGN}17,042"
    assert numbers.share(Decimal("0.125")) == "12.5 %"
    assert numbers.share(Decimal("-0.0181")) == "\N{MINUS SIGN}1.8 %"


def test_documents_keep_every_digit_and_show_what_a_page_cannot_hold():
    assert pretty(b'{"a":1.10000000000000000000000001}') == (
        '{\n  "a": 1.10000000000000000000000001\n}'
    )
    assert pretty(b"not JSON\x00\x7f\xff\n") == "not JSON\u2400\u2421\ufffd\n"
    assert members(msgspec.Raw(b'{"why":"a\\u0000b","score":0.10,"of":["x"]}')) == {
        "why": "a\u2400b",
        "score": "0.10",
        "of": '["x"]',
    }


def test_the_fragment_of_a_reason_is_the_longest_part_that_all_have():
    assert fragment_of("name: empty, or longer than # characters") == "name: empty, or longer than"
    assert fragment_of("…") == ""
