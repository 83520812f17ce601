"""Ours: the worker loads saved responses or CSV files, as `worker import` does, a run for each.

python -m tests.bench.worker_contestant URL PLAN
"""

import sys
from pathlib import Path

from sqlalchemy.engine import make_url

from shared.logs import configure_logs
from shared.settings import Settings
from tests.bench.clock import Clock
from tests.bench.plans import Pass, read_plan
from worker.app import Worker


def main(url: str, plan: Path) -> None:
    configure_logs("ERROR", "console")
    worker = Worker(Settings.from_env({}), make_url(url).set(drivername="postgresql+psycopg2"))
    clock = Clock(url)
    for each in read_plan(plan):
        load(worker, each, clock)
        clock.report(each.name, each.records)


def load(worker: Worker, each: Pass, clock: Clock) -> None:
    """Load a pass while the clock runs.

    Raises:
        SystemExit: not all of its records were loaded, or not as many were new.
    """
    new = unchanged = 0
    for source, file in each.snapshots:
        with clock:
            result = worker.load_saved(source, [Path(file)])
        if not result.succeeded:
            raise SystemExit(f"{source}: {result.ending}, {result.counts}")
        new += result.counts.new
        unchanged += result.counts.unchanged
    if (new, unchanged) != (each.new, each.records - each.new):
        raise SystemExit(f"{each.name}: {new} new and {unchanged} unchanged, not {each.new} new")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
