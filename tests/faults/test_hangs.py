"""A provider that hangs, and a worker killed before it could note the pause that one asked for."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.engine import URL

from shared.schema.operations import request_budgets, runs
from tests.fakes import answers as says
from tests.fakes.answers import rate_limited
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import environ
from tests.fakes.upstream import Upstream

ONLY_PAPRIKA = "run --once --source coinpaprika"
THE_WAITING_SESSION = text("""
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%paused_until%'
""")


def until(reached: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.02)


@pytest.mark.parametrize("answer", [says.slow_headers(), says.trickle()], ids=["headers", "body"])
def test_told_to_stop_during_an_answer_that_never_ends_the_worker_ends(
    answer, engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=3) as upstream:
        upstream.always(answer)
        worker = WarmWorker(ONLY_PAPRIKA, environ(database_url, upstream), tmp_path)
        upstream.wait_until_asked(1)
        os.kill(worker.pid, signal.SIGTERM)

        assert worker.wait(30) == 0, worker.err

    with engine.connect() as conn:
        assert conn.execute(select(runs.c.outcome, runs.c.reason)).one() == ("partial", "stopped")


def test_killed_between_a_429_and_its_pause_the_next_run_asks_once_and_notes_it(
    engine: Engine, database_url: URL, tmp_path: Path
):
    may_answer = threading.Event()
    with Upstream(assets=3) as upstream:
        env = environ(database_url, upstream)
        upstream.answers(replace(rate_limited(seconds=3600), after=may_answer))
        worker = WarmWorker(ONLY_PAPRIKA, env, tmp_path)
        upstream.wait_until_asked(1)
        with engine.connect() as conn:
            conn.execute(text("SELECT * FROM request_budgets FOR UPDATE"))
            may_answer.set()
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
                until(lambda: other.scalar(THE_WAITING_SESSION))
                worker.kill()
                worker.wait()
                pid = other.scalar(THE_WAITING_SESSION)
                other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})

        upstream.answers(rate_limited(seconds=3600))
        for _ in range(2):
            assert WarmWorker(ONLY_PAPRIKA, env, tmp_path).wait() == 1

        assert len(upstream.asked) == 2
    with engine.connect() as conn:
        kept = conn.execute(select(request_budgets)).one()
        reasons = conn.scalars(select(runs.c.reason).order_by(runs.c.id)).all()
    assert kept.requests == 2
    assert kept.pause_reason == "rate_limited"
    assert reasons == ["interrupted", "rate_limited", "rate_limited"]
