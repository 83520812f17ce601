"""The reading side alone: every record of a CSV file read and checked, and none kept.

python -m tests.bench.reading FILE
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from shared.model.records import Reject
from shared.settings import Settings
from tests.bench.clock import Clock
from tests.bench.plans import NEW
from worker.ingest.checking.check import check
from worker.sources import REGISTRY


def main(file: Path) -> None:
    source = REGISTRY["csv"].from_settings(Settings.from_env({}))
    now = datetime.now(UTC)
    read = 0
    clock = Clock()
    with clock:
        for page in source.saved_pages(file):
            for record in page.records:
                if isinstance(checked := check(source, record, now), Reject):
                    raise SystemExit(f"{record.position}: {checked.reasons}")
                read += 1
    clock.report(NEW, read)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
