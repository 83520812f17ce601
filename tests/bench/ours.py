"""Ours: the worker loads saved responses or CSV files, as `worker import` does.

python -m tests.bench.ours URL SOURCE FILE...
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import make_url

from shared.logs import configure_logs
from shared.settings import Settings
from tests.bench.measure import report
from worker.service import Worker


def main(url: str, source: str, files: Sequence[Path]) -> None:
    configure_logs("WARNING", "console")
    worker = Worker(Settings.from_env({}), make_url(url).set(drivername="postgresql+psycopg2"))
    started = time.perf_counter()
    result = worker.load_saved(source, files)
    seconds = time.perf_counter() - started
    if not result.succeeded or result.counts.rejected:
        raise SystemExit(f"{source}: {result.ending}, {result.counts}")
    report(result.counts.fetched, seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [Path(name) for name in sys.argv[3:]])
