"""Workers whose database fails, the locks they wait for, and what they must leave."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine, Row, select
from sqlalchemy.engine import URL

from shared.environment import SAMPLE_CSV
from shared.schema.operations import checkpoints, runs
from tests.fakes import processes
from tests.fakes.upstream import Upstream
from tests.fakes.worker_loop import SECONDS
from worker.maintenance.verify import Report, verify

SIZE = 120
PAGE = 50
BATCH_SIZE = 25
BATCHES = 5
"""CoinGecko's pages, capped at 50: 25 + 25, 25 + 25, 20."""

COINGECKO_FIRST = "coingecko,coinpaprika,csv"
OF_LISTINGS = "csv,coinpaprika,coingecko"


def environ(url: URL, upstream: Upstream | None = None, **settings: object) -> dict[str, str]:
    """Make the environment of a worker that reads the sources of listings, unless told.

    The sample is named, so that a loop reads it as a single pass does.
    """
    chosen = {"SOURCES": OF_LISTINGS, "CSV_PATH": SAMPLE_CSV, **settings}
    return processes.environ(url, upstream, **chosen)


def with_options(url: URL, options: str) -> URL:
    return url.update_query_dict({"options": options})


def assert_same(engine: Engine, unbroken: Report) -> None:
    report = verify(engine)
    assert report.findings == ()
    assert report.counted == unbroken.counted
    assert report.fingerprint == unbroken.fingerprint


def assert_each_once(engine: Engine, source: str) -> None:
    """No record of the source counts twice, in the runs or at the checkpoint."""
    with engine.connect() as conn:
        rows = conn.execute(select(runs).where(runs.c.source == source)).all()
        checkpoint = conn.execute(select(checkpoints).where(checkpoints.c.source == source)).one()
    assert sum(row.records_new for row in rows) == SIZE
    assert checkpoint.records_new == SIZE
    assert checkpoint.records_fetched == sum(row.records_fetched for row in rows)
    assert checkpoint.batches == sum(row.batches for row in rows)


def read_runs(engine: Engine) -> Sequence[Row[Any]]:
    with engine.connect() as conn:
        return conn.execute(select(runs).order_by(runs.c.id)).all()


def count_by_run(engine: Engine, table: str) -> dict[int, int]:
    with engine.connect() as conn:
        rows = conn.exec_driver_sql(f"SELECT run_id, count(*) FROM {table} GROUP BY run_id")
        return {row.run_id: row.count for row in rows}


def wait_until(condition: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def wait_until_blocked(engine: Engine) -> None:
    """Return once some session of the database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    def blocked() -> object:
        with engine.connect() as conn:
            return conn.exec_driver_sql(waiting).scalar()

    wait_until(blocked, "nothing came to wait for a lock")


def terminate_the_blocked(engine: Engine) -> int:
    end = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with engine.connect() as conn:
        return int(conn.exec_driver_sql(end).scalar_one())
