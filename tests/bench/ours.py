"""Ours: the worker loads saved responses or CSV files, as `worker import` does, a run for each.

python -m tests.bench.ours URL PLAN
"""

import sys
import time
from pathlib import Path

from sqlalchemy.engine import make_url

from shared.logs import configure_logs
from shared.settings import Settings
from tests.bench.measure import report
from tests.bench.plans import Pass, read_plan
from worker.service import Worker


def main(url: str, plan: Path) -> None:
    configure_logs("ERROR", "console")
    worker = Worker(Settings.from_env({}), make_url(url).set(drivername="postgresql+psycopg2"))
    for each in read_plan(plan):
        report(each.name, each.records, load(worker, each))


def load(worker: Worker, each: Pass) -> float:
    """Load a pass; return the seconds.

    Raises:
        SystemExit: not all of its records were loaded, or not as many were new.
    """
    seconds, new, unchanged = 0.0, 0, 0
    for source, file in each.snapshots:
        started = time.perf_counter()
        result = worker.load_saved(source, [Path(file)])
        seconds += time.perf_counter() - started
        if not result.succeeded:
            raise SystemExit(f"{source}: {result.ending}, {result.counts}")
        new += result.counts.new
        unchanged += result.counts.unchanged
    if (new, unchanged) != (each.new, each.records - each.new):
        raise SystemExit(f"{each.name}: {new} new and {unchanged} unchanged, not {each.new} new")
    return seconds


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
