"""Runs against a source whose fault lasts: how each ends, and that nothing is lost by it."""

import pytest
from sqlalchemy import Engine

from tests.fakes.loaded_markets import SIZES
from tests.fakes.runner import Runner
from tests.fakes.source_faults import FAULTS, FOR_EVER, PLACES, Place
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import Report

OF_THE_FIRST = {"429", "cut-off", "500", "html", "object"}
EACH_ONCE = [PLACES[number % len(PLACES)] for number in range(len(FAULTS))]
"""Where `make test` has a fault happen, of every fourth one."""

CASES = [
    pytest.param(
        *(place, fault),
        id=f"{place}-{fault}",
        marks=[] if place == quick and number % 4 == 0 else [pytest.mark.slow],
    )
    for number, (fault, quick) in enumerate(zip(FAULTS, EACH_ONCE, strict=True))
    for place in PLACES
    if place in (quick, PLACES[0], PLACES[-1]) or fault in OF_THE_FIRST
]


@pytest.mark.parametrize(("place", "fault"), CASES)
def test_a_fault_that_lasts_fails_the_run_loses_nothing_and_says_what_to_do(
    copy: Engine, upstream: Upstream, unbroken: Report, place: Place, fault: str
):
    runner = Runner(copy, upstream, place.source)
    before = runner.checkpoint()
    broken = FAULTS[fault]
    upstream.answers(*[broken.answer] * FOR_EVER, page=place.page)

    result = runner.run(broken.limits)

    assert (result.ending.outcome, result.ending.reason) == ("failed", broken.reason)
    assert broken.advice.format(place.source.upper()) in str(result.ending.error)
    assert result.counts.fetched == result.counts.new == place.before
    after = runner.checkpoint()
    assert after.cursor == ({"page": place.page} if place.page > 1 else None)
    assert after.last_success_at == before.last_success_at
    assert after.last_failure_at
    # Those of this run: the run before may have met its upstream at the same port.
    known = [
        key
        for key, validator in after.validators.items()
        if key.startswith(upstream.base_url) and before.validators.get(key) != validator
    ]
    assert len(known) == place.page - 1

    upstream.answers(page=place.page)
    healed = runner.run()

    assert healed.ending.outcome == "succeeded"
    assert healed.counts.new == SIZES[place.source] - place.before
    assert runner.sound() == unbroken
