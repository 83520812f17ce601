"""How fast the past is read, with few and with many observations stored.

    python -m tests.bench.history

Ten thousand coins on an embedded Postgres, in a folder that is removed afterwards. One coin has a
year of prices every five minutes; the rest of the observations are spread over all coins and the
last thirty days. The API answers over HTTP, without kept answers, one request after another. From
the environment:

    SIZES=1000000,50000000    how many observations (the larger takes minutes, and 15 GB)
    SECONDS=5                 how long each path is asked
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL

from shared.embedded.programs import MAJOR
from shared.embedded.server import READER
from tests.bench.api_load import Target, put_load
from tests.bench.api_servers import ours
from tests.bench.measure import MACHINE, run, tell, write
from tests.bench.past import Past
from tests.bench.payloads import COINS, Snapshots
from tests.bench.plans import NEW, Pass, write_plan
from tests.fakes.databases import engine_on, open_folder
from tests.fakes.postgres import Server, running

SOURCE = "coingecko"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
MONTH = timedelta(days=30)
EVERY = timedelta(minutes=5)

NEWEST = text("SELECT max(observed_at) FROM listings")
ONE = text("SELECT l.id, a.slug FROM listings AS l JOIN assets AS a ON a.id = l.asset_id LIMIT 1")
NAMED = text("UPDATE listing_names SET first_observed_at = :start WHERE listing_id = :listing_id")
COUNT = text("SELECT count(*) FROM observations")
QUESTIONS = (
    "an asset's day at 5m",
    "an asset's year at 1d",
    "the page of that asset",
    "the top 100 as of a past day",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of each question, with so many observations."""

    observations: int
    p50: Sequence[float]


class Bench:
    """What is measured where, with everything it writes in one folder."""

    def __init__(self, server: Server, folder: Path, seconds: int) -> None:
        self.server = server
        self.folder = folder
        self.seconds = seconds
        snapshots, _ = Snapshots(folder, "history", COINS, at=NOW).write(0, 1)
        first = Pass(NEW, [file for file in snapshots if file[0] == SOURCE], COINS, COINS)
        self.plan = write_plan(folder / "first", [first])

    def measure(self, size: int) -> Measured:
        """Build a history of about so many observations, and ask for it."""
        with self.server.database("history") as url:
            plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
            run(sys.executable, "worker_contestant", plain, self.plan)
            paths = _build(url, size)
            self.server.execute("VACUUM (ANALYZE)", "CHECKPOINT", database="history")
            with engine_on(url) as engine, engine.connect() as conn:
                count = conn.execute(COUNT).scalar_one()
            tell(f"{count:,} observations")
            return Measured(count, self._ask(url, paths))

    def _ask(self, url: URL, paths: Sequence[str]) -> list[float]:
        times: list[float] = []
        reader = url.set(username=READER)
        with ours("history", self.folder, reader, API_CACHE_MB="0") as port:
            for path in paths:
                load = put_load(Target(port, [path], {}), self.folder, self.seconds, 1)
                if load.refused or load.broken or not load.requests:
                    raise SystemExit(f"{path}: {load}")
                times.append(load.p50)
        return times


def _build(url: URL, size: int) -> list[str]:
    """Insert the observations; return the paths of the `QUESTIONS`."""
    with engine_on(url) as engine, engine.connect() as conn:
        newest: datetime = conn.execute(NEWEST).scalar_one()
        listing_id, slug = conn.execute(ONE).one()
    year = Past(SOURCE, YEAR // EVERY, newest - YEAR, newest, listing_id)
    rest = max(0, size - year.observations)
    for past in (year, Past(SOURCE, rest, newest - MONTH, newest)):
        past.insert(url, with_raw=False)
    with engine_on(url) as engine, engine.begin() as conn:
        conn.execute(NAMED, {"start": newest - YEAR, "listing_id": listing_id})
    midnight = newest.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    past_day = midnight - timedelta(days=10)

    def history(start: datetime, end: datetime, interval: str) -> str:
        window = f"start={start:%Y-%m-%dT%H:%M:%SZ}&end={end:%Y-%m-%dT%H:%M:%SZ}"
        return f"/data/{slug}/history?{window}&interval={interval}&page_size=1000"

    return [
        history(past_day, past_day + timedelta(days=1), "5m"),
        history(midnight - YEAR, midnight, "1d"),
        f"/dashboard/assets/{slug}",
        f"/data?as_of={past_day:%Y-%m-%dT%H:%M:%SZ}&page_size=100",
    ]


def report(found: Sequence[Measured]) -> None:
    """Print a line for each question."""
    sizes = "".join(f"{each.observations:>14,}" for each in found)
    write(f"{'p50 in ms, observations:':<32}{sizes}{'ratio':>9}")
    for place, question in enumerate(QUESTIONS):
        times = [each.p50[place] for each in found]
        cells = "".join(f"{time:>14.1f}" for time in times)
        write(f"{question:<32}{cells}{times[-1] / times[0]:>9.2f}")


def main() -> None:
    sizes = [int(size) for size in (os.environ.get("SIZES") or "1000000,50000000").split(",")]
    seconds = int(os.environ.get("SECONDS") or 5)
    with open_folder("kasparro-bench-") as folder, running(MAJOR, folder) as server:
        bench = Bench(server, folder, seconds)
        found = [bench.measure(size) for size in sizes]
        write(f"PostgreSQL {server.version}, {os.cpu_count()} CPUs, {MACHINE}")
        write()
        report(found)


if __name__ == "__main__":
    main()
