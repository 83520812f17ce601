"""CSV files of two lengths, read and loaded: the longer one takes no more memory."""

import sys

from tests.bench.contestants import OURS, Contest
from tests.bench.measure import run, tell
from tests.bench.payloads import write_csv
from tests.bench.plans import write_plan

FEW_ROWS = 20_000


def load_files(contest: Contest) -> None:
    """Read, and load, a short and a longer file."""
    for rows in (FEW_ROWS, contest.options.rows):
        title = f"CSV, {rows:,} rows"
        if not contest.has_time(title):
            continue
        each = write_csv(contest.folder / f"{rows}.csv", rows)
        [read] = run(sys.executable, "reading", each.snapshots[0][1])
        tell(f"CSV, read: {read.rate:,.0f} records/s")
        contest.outcomes[title, "read and checked"] = [read]
        plan = write_plan(contest.folder / f"csv-{rows}", [each])
        contest.measure(title, OURS, plan)
