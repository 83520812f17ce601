"""The connection breaks at a COMMIT: the worker learns whether it landed, and goes on."""

from functools import partial
from itertools import pairwise, product
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from tests.fakes.cases import sparse
from tests.fakes.database_faults import (
    BATCH_SIZE,
    BATCHES,
    COINGECKO_FIRST,
    PAGE,
    SIZE,
    assert_each_once,
    assert_same,
    environ,
    read_runs,
)
from tests.fakes.processes import run_worker
from tests.fakes.relay import Cut, Relay
from tests.fakes.upstream import Upstream
from tests.fakes.worker_loop import Loop
from worker.maintenance.verify import Report

BEFORE_THE_FIRST_BATCH = 8
"""COMMITs of a worker before that of its first batch.

It brings the crosswalk up to date, settles the sample, takes the source's lock, looks for
partitions and makes those missing in each of two tables, and opens its run's row.
"""

LANDED = {Cut.BEFORE_THE_ANSWER: 1, Cut.BEFORE_IT_ARRIVES: 0}
NEXT_PAGE = [1, 1, 2, 2, 3, 4]
"""CoinGecko's page that a run begins at after so many committed batches."""


def resumed_at(upstream: Upstream) -> int:
    """Return the page of CoinGecko that the second run asked for first."""
    asked = [int(each.params["page"]) for each in upstream.asked if "page" in each.params]
    return next(page for before, page in pairwise(asked) if page <= before)


# With the fourth the cursor moves to the next page.
@pytest.mark.parametrize(
    ("cut", "batch"), sparse(product(reversed(LANDED), [4, 1, 3, BATCHES]), 2 * 4)
)
def test_cut_off_at_a_batchs_commit_the_loop_learns_whether_it_landed_and_goes_on(
    engine: Engine,
    database_url: URL,
    tmp_path: Path,
    unbroken: Report,
    cut: Cut,
    batch: int,
):
    with Upstream(SIZE, page_cap=PAGE) as upstream, Relay(database_url) as relay:
        relay.cut_at(BEFORE_THE_FIRST_BATCH + batch, cut)
        env = environ(relay.url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)

        with Loop(env, tmp_path) as loop:
            away = loop.wait_until_said("the database is unavailable; trying again")
            loop.wait_until_said("run finished", source="csv")
            loop.end()

    first, second, *_ = read_runs(engine)
    committed = batch - 1 + LANDED[cut]
    records = sum([25, 25, 25, 25, 20][:committed])
    lost = loop.said("the connection was lost")
    told = loop.said("an earlier run was interrupted")
    assert relay.cut.is_set()
    assert away["seconds"] == 1
    assert resumed_at(upstream) == NEXT_PAGE[committed]
    assert [line["committed_before"] for line in lost] == [BATCH_SIZE * (batch - 1)]
    assert [(line["batches"], line["records"]) for line in told] == [(committed, records)]
    assert (first.outcome, first.reason, first.batches) == ("failed", "interrupted", committed)
    assert f"the {records} records of {committed} batches" in first.error
    assert (second.source, second.outcome) == ("coingecko", "succeeded")
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)


slowly = partial(pytest.param, marks=pytest.mark.slow)

THE_LAST_BATCH = BEFORE_THE_FIRST_BATCH + BATCHES


@pytest.mark.parametrize(
    ("commit", "cut"),
    [
        slowly(1, Cut.BEFORE_IT_ARRIVES, id="crosswalk not read"),
        slowly(3, Cut.BEFORE_THE_ANSWER, id="locked"),
        slowly(5, Cut.BEFORE_THE_ANSWER, id="partitions made"),
        slowly(7, Cut.BEFORE_IT_ARRIVES, id="partitions not made"),
        slowly(8, Cut.BEFORE_THE_ANSWER, id="opened"),
        slowly(8, Cut.BEFORE_IT_ARRIVES, id="not opened"),
        pytest.param(THE_LAST_BATCH + 1, Cut.BEFORE_THE_ANSWER, id="closed"),
        slowly(THE_LAST_BATCH + 1, Cut.BEFORE_IT_ARRIVES, id="not closed"),
        slowly(THE_LAST_BATCH + 2, Cut.BEFORE_IT_ARRIVES, id="not unlocked"),
    ],
)
def test_cut_off_at_any_other_commit_of_a_run_the_loop_goes_on(
    engine: Engine,
    database_url: URL,
    tmp_path: Path,
    unbroken: Report,
    cut: Cut,
    commit: int,
):
    with Upstream(SIZE, page_cap=PAGE) as upstream, Relay(database_url) as relay:
        relay.cut_at(commit, cut)
        env = environ(relay.url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)

        with Loop(env, tmp_path) as loop:
            loop.wait_until_said("the database is unavailable; trying again")
            loop.wait_until_said("run finished", source="csv")
            loop.end()

    assert relay.cut.is_set()
    assert {row.outcome for row in read_runs(engine)} <= {"succeeded", "failed"}
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("cut", sparse(LANDED, 2))
def test_cut_off_at_a_commit_one_pass_exits_with_1_and_the_next_completes(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report, cut: Cut
):
    with Upstream(SIZE, page_cap=PAGE) as upstream, Relay(database_url) as relay:
        # One pass settles the sample at its end alone.
        relay.cut_at(BEFORE_THE_FIRST_BATCH - 1 + 2, cut)
        env = environ(relay.url, upstream, BATCH_SIZE=BATCH_SIZE)

        broken = run_worker("run --once --source coingecko", env, tmp_path)
        whole = run_worker("run --once", env, tmp_path)

    assert broken.returncode == 1
    assert "Error: database: server closed the connection unexpectedly" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert whole.returncode == 0, whole.stderr
    committed = 1 + LANDED[cut]
    assert f'"batches":{committed},"records":{BATCH_SIZE * committed}' in whole.stderr
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)


def test_a_commit_still_under_way_keeps_the_source_locked_until_it_is_known(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(SIZE, page_cap=PAGE) as upstream, Relay(database_url) as relay:
        relay.cut_at(BEFORE_THE_FIRST_BATCH + 2, Cut.WHILE_IT_TRAVELS)
        env = environ(relay.url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)

        with Loop(env, tmp_path, interval=1) as loop:
            locked = loop.wait_until_said("source is locked", source="coingecko")
            assert [row.batches for row in read_runs(engine) if row.source == "coingecko"] == [1]
            relay.release.set()
            told = loop.wait_until_said("an earlier run was interrupted")
            loop.wait_until_said("run finished", source="coingecko", outcome="succeeded")
            loop.wait_until_said("run finished", source="csv")
            loop.end()

    assert "locked by worker run 1 on host" in locked["error"]
    assert (told["batches"], told["records"]) == (2, 50)
    assert resumed_at(upstream) == NEXT_PAGE[2]
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)
