"""How fast the past is read, and records are loaded, with few and with many observations stored.

    python -m tests.bench.history

Ten thousand coins on an embedded Postgres, in a folder that is removed afterwards. One coin has a
year of prices every five minutes; the rest of the observations are spread over all coins and the
last thirty days. The API answers over HTTP, without kept answers, one request after another;
loading is measured beside a database with no history. From the environment:

    SIZES=1000000,50000000    how many observations (the larger takes minutes, and 15 GB)
    SECONDS=5                 how long each path is asked
    RECORDS=50000             how many records are loaded
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.embedded import READER, EmbeddedPostgres, RunningServer
from tests.bench.api_load import Target, put_load
from tests.bench.api_servers import ours
from tests.bench.measure import MACHINE, run, tell, write
from tests.bench.payloads import IDS, write_snapshots
from tests.fakes.databases import make_room
from worker.migrate import upgrade

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
MONTH = timedelta(days=30)
EVERY = timedelta(minutes=5)

NEWEST = text("SELECT max(observed_at) FROM listings")
ONE = text("SELECT l.id, a.slug FROM listings AS l JOIN assets AS a ON a.id = l.asset_id LIMIT 1")

# What a source said of one listing, or of all of them, from a time on.
OBSERVE = text("""
INSERT INTO observations (listing_id, observed_at, ingested_at, run_id, payload_hash, price_usd,
                          market_cap_usd, volume_24h_usd, circulating_supply)
SELECT l.id, t.at, t.at, 1, decode(md5(l.id || ' ' || t.at), 'hex'), l.price_usd * (1 + random()),
       l.market_cap_usd, l.volume_24h_usd, l.circulating_supply
FROM generate_series(CAST(:start AS timestamptz), CAST(:end AS timestamptz),
                     CAST(:every AS interval)) AS t (at)
CROSS JOIN listings AS l WHERE l.id = coalesce(:listing_id, l.id)
ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of each question, and records loaded a second; of a size that was reached."""

    observations: int
    p50: Sequence[float]
    rate: float


class Bench:
    """What is measured where, with everything it writes in one folder."""

    def __init__(self, server: RunningServer, folder: Path, seconds: int, records: int) -> None:
        self.server = server
        self.folder = folder
        self.seconds = seconds
        tell(f"writing {records + IDS:,} records")
        self.first, *self.files = write_snapshots(folder, records + IDS, NOW)

    def measure(self, size: int) -> Measured:
        """Build a history of about so many observations, and ask for it."""
        with self._database() as url:
            plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
            run(sys.executable, "ours", plain, "coingecko", self.first)
            make_room(url, *(NOW - timedelta(days=day) for day in range(367)))
            engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
            with engine.connect() as conn:
                paths = _build(conn, size)
                count = int(conn.scalar(text("SELECT count(*) FROM observations")) or 0)
            tell(f"{count:,} observations")
            times = self._ask(url, paths) if size else []
            rate = run(sys.executable, "ours", plain, "coingecko", *self.files).rate
        return Measured(count, times, rate)

    def _ask(self, url: URL, paths: Sequence[str]) -> list[float]:
        times: list[float] = []
        reader = url.set(username=READER)
        with ours("history", self.folder, reader, API_CACHE_MB="0") as port:
            for path in paths:
                load = put_load(Target(port, [path], {}), self.folder, self.seconds, 1)
                if load.refused or load.broken:
                    raise SystemExit(f"{path}: {load}")
                times.append(load.p50)
        return times

    @contextmanager
    def _database(self) -> Iterator[URL]:
        url = self.server.url.set(database="history")
        self._execute("CREATE DATABASE history")
        try:
            upgrade(url)
            yield url
        finally:
            self._execute("DROP DATABASE history WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        engine = create_engine(
            self.server.url.set(database="postgres"),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as conn:
            conn.execute(text(statement))


QUESTIONS = ("an asset's day at 5m", "an asset's year at 1d", "the top 100 as of a past day")


def _build(conn: Connection, size: int) -> list[str]:
    """Insert the observations; return the paths of the `QUESTIONS`."""
    newest: datetime = conn.execute(NEWEST).scalar_one()
    listing_id, slug = conn.execute(ONE).one()
    start = newest - YEAR
    if size:
        year = {"start": start, "end": newest, "every": EVERY, "listing_id": listing_id}
        conn.execute(OBSERVE, year)
        times = max(1, (size - YEAR // EVERY) // IDS)
        month = {"start": newest - MONTH, "end": newest, "every": MONTH / times}
        conn.execute(OBSERVE, {**month, "listing_id": None})
    conn.execute(text("VACUUM (ANALYZE)"))
    conn.execute(text("CHECKPOINT"))
    midnight = newest.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    past = midnight - timedelta(days=10)

    def history(start: datetime, end: datetime, interval: str) -> str:
        window = f"start={start:%Y-%m-%dT%H:%M:%SZ}&end={end:%Y-%m-%dT%H:%M:%SZ}"
        return f"/data/{slug}/history?{window}&interval={interval}&page_size=1000"

    return [
        history(past, past + timedelta(days=1), "5m"),
        history(midnight - YEAR, midnight, "1d"),
        f"/data?as_of={past:%Y-%m-%dT%H:%M:%SZ}&page_size=100",
    ]


def report(empty: Measured, found: Sequence[Measured]) -> None:
    """Print a line for each question, and for loading."""
    sizes = "".join(f"{each.observations:>14,}" for each in found)
    write(f"{'p50 in ms, observations:':<32}{sizes}{'ratio':>9}")
    for place, question in enumerate(QUESTIONS):
        times = [each.p50[place] for each in found]
        cells = "".join(f"{time:>14.1f}" for time in times)
        write(f"{question:<32}{cells}{times[-1] / times[0]:>9.2f}")
    cells = "".join(f"{each.rate:>14,.0f}" for each in found)
    words = ", ".join(f"{each.rate / empty.rate:.2f}" for each in found)
    write(f"{'records loaded a second':<32}{cells}")
    write(f"without history {empty.rate:,.0f} records a second; of that {words}")


def main() -> None:
    sizes = [int(size) for size in (os.environ.get("SIZES") or "1000000,50000000").split(",")]
    seconds = int(os.environ.get("SECONDS") or 5)
    records = int(os.environ.get("RECORDS") or 50_000)
    folder = Path(tempfile.mkdtemp(prefix="kasparro-bench-"))
    folder.chmod(0o755)  # the server runs as another user where this one is root
    try:
        with EmbeddedPostgres(folder).running() as server:
            bench = Bench(server, folder, seconds, records)
            empty = bench.measure(0)
            found = [bench.measure(size) for size in sizes]
            write(f"PostgreSQL {server.version}, {os.cpu_count()} CPUs, {MACHINE}")
            write()
            report(empty, found)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
