"""Runs against a source whose fault passes within the attempts or the pause."""

import pytest
from sqlalchemy import Engine

from tests.fakes.answers import edited, html, rate_limited, reset, short_by, status, truncated
from tests.fakes.cases import sparse
from tests.fakes.runner import Runner
from tests.fakes.source_faults import PLACES, SOURCES, Place
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import Report

PASSING = {
    "429": rate_limited(),
    "500": status(500),
    "502": html(502),
    "503": status(503),
    "reset": reset(),
    "cut-off": truncated(1000),
    "half-the-json": edited(lambda sent: sent[:-50]),
    "length-too-small": short_by(50),
}


@pytest.mark.parametrize("answer", sparse(PASSING, 2))
@pytest.mark.parametrize(
    "place", [PLACES[0], pytest.param(PLACES[2], marks=pytest.mark.slow)], ids=str
)
def test_a_fault_that_passes_within_the_attempts_is_not_seen_in_the_content(
    copy: Engine, upstream: Upstream, unbroken: Report, place: Place, answer: str
):
    runner = Runner(copy, upstream, place.source)
    upstream.answers(PASSING[answer], PASSING[answer], page=place.page)

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert runner.last_run().retries == 2
    assert runner.sound() == unbroken


@pytest.mark.parametrize("as_date", [False, True])
@pytest.mark.parametrize("source", sparse(SOURCES, 2))
def test_a_pause_that_a_run_can_wait_for_is_kept_to_the_second(
    copy: Engine, upstream: Upstream, unbroken: Report, source: str, as_date: bool
):
    runner = Runner(copy, upstream, source)
    upstream.answers(rate_limited(seconds=119, as_date=as_date))

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert 119 in runner.pauses
    assert runner.sound() == unbroken
