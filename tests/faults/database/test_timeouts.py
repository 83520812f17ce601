"""Statements exceed a timeout: the run fails with the reason, and the others go on."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from tests.fakes.answers import held
from tests.fakes.cases import sparse
from tests.fakes.database_faults import (
    BATCH_SIZE,
    PAGE,
    SIZE,
    assert_each_once,
    assert_same,
    environ,
    read_runs,
    with_options,
)
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import run_worker
from tests.fakes.upstream import Upstream
from tests.fakes.worker_loop import SECONDS, Loop
from worker.maintenance.verify import Report, verify

TIMEOUTS = {
    "lock_timeout": (
        "-c lock_timeout=300ms",
        "canceling statement due to lock timeout",
        "another session holds a required lock",
    ),
    "statement_timeout": (
        "-c statement_timeout=700ms",
        "canceling statement due to statement timeout",
        "raise the database's statement_timeout or lower BATCH_SIZE",
    ),
}


@pytest.mark.parametrize("reason", sparse(TIMEOUTS, 2))
def test_a_timeout_fails_the_run_with_its_reason_and_not_the_other_sources(
    engine: Engine,
    database_url: URL,
    tmp_path: Path,
    unbroken: Report,
    reason: str,
):
    option, words, advice = TIMEOUTS[reason]
    with Upstream(SIZE, page_cap=PAGE) as upstream, engine.connect() as blocker:
        env = environ(with_options(database_url, option), upstream, BATCH_SIZE=BATCH_SIZE)
        blocker.exec_driver_sql("LOCK TABLE raw_coingecko IN ACCESS EXCLUSIVE MODE")
        ran = run_worker("run --once", env, tmp_path)
        blocker.rollback()

        assert ran.returncode == 1
        assert f"({reason}: coingecko: {words}" in ran.stdout
        assert advice in ran.stdout
        by_source = {row.source: row for row in read_runs(engine)}
        failed = by_source.pop("coingecko")
        assert (failed.outcome, failed.reason, failed.batches) == ("failed", reason, 0)
        assert {row.outcome for row in by_source.values()} == {"succeeded"}
        assert verify(engine).counted["raw_coingecko"] == 0

        whole = run_worker("run --once", environ(database_url, upstream), tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert_same(engine, unbroken)


def test_a_run_that_cannot_even_be_recorded_is_said_and_the_loop_goes_on(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(SIZE, page_cap=PAGE) as upstream, engine.connect() as blocker:
        env = environ(with_options(database_url, "-c lock_timeout=100ms"), upstream)
        blocker.exec_driver_sql("LOCK TABLE checkpoints IN ACCESS EXCLUSIVE MODE")

        once = run_worker("run --once --source csv", env, tmp_path)
        with Loop(env, tmp_path, interval=1) as loop:
            for source in ("coinpaprika", "coingecko", "csv"):
                said = loop.wait_until_said("the run could not be recorded", source=source)
                assert said["reason"] == "lock_timeout"
            blocker.rollback()
            for source in ("coinpaprika", "coingecko", "csv"):
                loop.wait_until_said("run finished", source=source, outcome="succeeded")
            loop.end()

    assert once.returncode == 1
    assert "Error: database: canceling statement due to lock timeout" in once.stderr
    assert "Traceback" not in once.stderr
    assert_same(engine, unbroken)


@pytest.mark.slow
def test_a_run_that_cannot_be_judged_at_its_end_is_recorded_as_failed(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(SIZE, page_cap=PAGE) as upstream, engine.connect() as blocker:
        env = environ(with_options(database_url, "-c lock_timeout=300ms"), upstream)
        release = threading.Event()
        upstream.answers(held(release), page=3)
        with WarmWorker("run --once --source coingecko", env, tmp_path) as worker:
            upstream.wait_until_asked(3)
            blocker.exec_driver_sql("LOCK TABLE drift IN ACCESS EXCLUSIVE MODE")
            release.set()
            out, err = worker.communicate(timeout=SECONDS)
        blocker.rollback()

        assert worker.returncode == 1, err
        assert "coingecko: run 1 failed (lock_timeout: coingecko: canceling statement" in out
        assert [(row.outcome, row.records_new) for row in read_runs(engine)] == [("failed", SIZE)]
        whole = run_worker("run --once", env, tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)
