import re
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import URL

from shared.errors import LockedError
from shared.schema.operations import runs
from tests.fakes.answers import Answer
from tests.fakes.batches import COINGECKO
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import environ
from tests.fakes.upstream import Upstream
from worker.database.locks import locked
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.runs.journal import clear_checkpoint
from worker.ingest.runs.options import Options
from worker.maintenance.prune.records import prune
from worker.maintenance.prune.rejects import prune_rejects
from worker.maintenance.reprocess import reprocess
from worker.maintenance.retry import retry
from worker.maintenance.verify import verify

COINS = 30
YEAR = timedelta(days=365)

COMMANDS: dict[str, Callable[[Engine], object]] = {
    "checkpoint clear": lambda engine: clear_checkpoint(engine, "coingecko"),
    "prune raw records": lambda engine: list(prune(engine, "coingecko", YEAR, None)),
    "prune rejects": lambda engine: prune_rejects(engine, "coingecko", YEAR, None),
    "rejects retry": lambda engine: retry(engine, COINGECKO, OpenRejects(), Options()),
    "reprocess": lambda engine: reprocess(engine, COINGECKO),
}


def wait_for_the_first(workers: list[WarmWorker]) -> WarmWorker:
    """Return the first of the workers that has ended."""
    give_up = time.monotonic() + 60
    while not (ended := [worker for worker in workers if worker.poll() is not None]):
        assert time.monotonic() < give_up, "neither of two workers gives way"
        time.sleep(0.005)
    return ended[0]


@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_of_two_workers_started_together_one_works_and_the_other_names_it(
    engine: Engine, database_url: URL, tmp_path: Path, rounds: int
):
    """The answer waits until one has given way, so that they always meet.

    Every other time the one that works is killed, and the source is free for the next two.
    """
    command = "run --once --source coinpaprika"
    with Upstream(assets=COINS) as upstream:
        env = environ(database_url, upstream)
        for number in range(rounds):
            release = threading.Event()
            upstream.answers(Answer(after=release))
            workers = [WarmWorker(command, env, tmp_path) for _ in range(2)]

            second = wait_for_the_first(workers)
            upstream.wait_until_asked(number + 1)
            (holder,) = (worker for worker in workers if worker is not second)
            assert holder.poll() is None
            refused = second.err
            assert second.wait() == 3, refused
            with engine.connect() as conn:
                run_id = conn.scalar(select(func.max(runs.c.id)))
            # Its run, or where that is not open yet its session.
            host = re.escape(socket.gethostname())
            run = rf"run {run_id} on host '{host}' \(pid {holder.pid}\)"
            named = rf"coinpaprika: locked by worker ({run}|{host}:{holder.pid}) since "
            assert re.search(named, refused), refused

            if number % 2:
                holder.kill()
                assert holder.wait() == -9
                with locked(engine, "coinpaprika"):
                    pass  # The killed one's lock is waited for.
                release.set()
            else:
                release.set()
                assert holder.wait() == 0, holder.err

    with engine.connect() as conn:
        outcomes = conn.scalars(select(runs.c.outcome).order_by(runs.c.id)).all()
    assert len(upstream.asked) == rounds
    assert outcomes == ["succeeded", "failed"] * (rounds // 2 - 1) + ["succeeded", "running"]
    assert not verify(engine).findings


def test_a_worker_killed_while_its_statement_waits_frees_the_source_before_that_ends(
    engine: Engine, database_url: URL, tmp_path: Path
):
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with Upstream(assets=COINS) as upstream, engine.connect() as blocker:
        env = environ(database_url, upstream)
        blocker.exec_driver_sql("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
        holder = WarmWorker("run --once --source coinpaprika", env, tmp_path)
        upstream.wait_until_asked(1)
        give_up = time.monotonic() + 60
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            while not conn.exec_driver_sql(waiting).scalar():
                assert time.monotonic() < give_up, "the batch does not come to the lock"
                time.sleep(0.005)

        holder.kill()
        assert holder.wait() == -9

        with locked(engine, "coinpaprika"):
            pass  # Its statement still waits, and would for 30 s.
        blocker.rollback()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_changes_a_source_is_refused_while_a_worker_has_it(
    engine: Engine, command: str
):
    with locked(engine, "coingecko"), pytest.raises(LockedError, match="coingecko: locked by"):
        COMMANDS[command](engine)
