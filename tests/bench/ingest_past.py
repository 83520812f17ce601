"""Loading beside a database that holds many observations, and one that holds none of the past."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

from sqlalchemy.engine import URL

from tests.bench.contestants import OURS, Contest
from tests.bench.past import Past
from tests.bench.payloads import COINS, SOURCES, Snapshots
from tests.bench.plans import NEW, Pass, write_plan

PAST = timedelta(days=90)
"""How far the observations go back from what is loaded."""

EMPTY, FULL = "ours, without a past", "ours, with a past"


def load_beside_past(contest: Contest) -> None:
    """Load the same snapshots into both databases in turn, and compare round by round."""
    first, *rounds = _rounds(contest)
    with (
        contest.server.database("bench_empty") as empty,
        contest.server.database("bench_full") as full,
    ):
        for url in (empty, full):
            contest.run("ours, listings", OURS, url, write_plan(contest.folder / "first", [first]))
        total = _fill(contest, full, _noon())
        for number, each in enumerate(rounds):
            plan = write_plan(contest.folder / f"round-{number}", [each])
            for title, url in ((EMPTY, empty), (FULL, full)):
                contest.run(title, OURS, url, plan)
    with_past, without = contest.rates(FULL, NEW), contest.rates(EMPTY, NEW)
    if ratios := [rate / other for rate, other in zip(with_past, without, strict=False)]:
        rounded = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        words = f"{total:,} observations: {median(ratios):.2f} of the rate without them"
        contest.note(f"{NEW}, beside {words} (aim: 0.9; by round {rounded})")


def _noon() -> datetime:
    """Yesterday's: near enough for the partitions to be months, and not in the future."""
    return datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


def _rounds(contest: Contest) -> Iterator[Pass]:
    """Write the snapshot that makes the listings, and those of each round."""
    options = contest.options
    coins = max(1, min(COINS, options.records // len(SOURCES)))
    each = max(1, options.records // len(SOURCES) // coins)
    market = Snapshots(contest.folder, "past", coins, at=_noon())
    files = market.write_passes(1 + each * options.rounds)[0].snapshots
    size = len(SOURCES)
    yield _pass(files[:size], coins)
    for start in range(size, len(files), size * each):
        yield _pass(files[start : start + size * each], coins)


def _pass(files: Sequence[tuple[str, str]], coins: int) -> Pass:
    return Pass(NEW, files, len(files) * coins, len(files) * coins)


def _fill(contest: Contest, url: URL, noon: datetime) -> int:
    share = contest.options.observations // len(SOURCES)
    pasts = [Past(source, share, noon - PAST, noon) for source in SOURCES]
    total = sum(past.insert(url, with_raw=True) for past in pasts)
    contest.server.execute("VACUUM (ANALYZE)", "CHECKPOINT", database=str(url.database))
    return total
