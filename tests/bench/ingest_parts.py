"""The parts of the benchmark of loading that are measured on every server."""

from pathlib import Path

from tests.bench.contestants import DLT, LIMIT, OURS, Contest
from tests.bench.ingest_options import Options
from tests.bench.payloads import COINS, SOURCES, Snapshots
from tests.bench.plans import write_plan

STALE = "ours, stale statistics"
WAYS = {"limit": LIMIT, "dlt": DLT, "ours": OURS}


def write_market(folder: Path, options: Options) -> Path:
    """Write the plan of a market of 10 000 coins, or fewer: a snapshot of each source or more."""
    coins = max(1, min(COINS, options.records // len(SOURCES)))
    times = max(1, options.records // len(SOURCES) // coins)
    return write_plan(folder / "market", Snapshots(folder, "market", coins).write_passes(times))


def take_turns(contest: Contest, plan: Path) -> None:
    """Let the limit, dlt and the worker take their turn."""
    for part, name in WAYS.items():
        if part == "dlt" and not contest.options.dlt_python.exists():
            continue
        if part in contest.options.parts:
            contest.measure(name, name, plan)


def load_stale(contest: Contest, plan: Path) -> None:
    """Let the worker load where Postgres has statistics of empty tables, and gets no others."""
    with contest.server.without_autovacuum():
        contest.measure(STALE, OURS, plan, "ANALYZE")


def write_crowds(folder: Path, options: Options) -> dict[str, Path]:
    """Write a plan for each size; its coins, as many in each, are all in crowds of that size."""
    coins = max(options.crowds)
    plans = {}
    for size in options.crowds:
        snapshots = Snapshots(folder, f"crowd-{size}", coins, [size] * (coins // size))
        plans[crowd(size)] = write_plan(folder / snapshots.name, snapshots.write_passes(1))
    return plans


def crowd(size: int) -> str:
    return f"ours, {size:,} of a symbol"


def load_crowds(contest: Contest, plans: dict[str, Path]) -> None:
    """Let the worker load crowds of each size in turn."""
    for title, plan in plans.items():
        contest.measure(title, OURS, plan)
