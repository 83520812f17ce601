"""How fast records are loaded, beside plain COPY (the limit) and dlt, and in how much memory.

    python -m tests.bench.ingest

Everything runs on one embedded Postgres with its usual, durable options, in a folder that is
removed afterwards; each contestant is a process of its own. The limit and the worker take turns,
and the median counts, since a machine has other things to do as well. From the environment:

    ONLY=limit,ours,dlt,csv   which parts to run (all)
    RECORDS=200000            how many records in CoinGecko's shape
    DLT_RECORDS=200000        how many of them dlt gets
    ROUNDS=3                  how often the limit and the worker take their turn
    ROWS=200000               the larger CSV file that is loaded (2000000 takes minutes)
    BENCH_PYTHON              the Python that has dlt (.local/bench-venv/bin/python)
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from shared.embedded import EmbeddedPostgres, RunningServer
from shared.settings import Settings
from tests.bench.measure import MACHINE, ROOT, Outcome, run, tell, write
from tests.bench.payloads import write_csv, write_snapshots
from worker.migrate import upgrade

BATCH_SIZE = Settings.from_env({}).batch_size
PARTS = ("limit", "ours", "dlt", "csv")
FEW_ROWS, MANY_ROWS = 20_000, 2_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """What the environment asks for."""

    parts: Sequence[str]
    records: int
    dlt_records: int
    rounds: int
    rows: int
    dlt_python: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Options":
        parts = environ.get("ONLY") or ",".join(PARTS)
        if unknown := set(parts.split(",")) - set(PARTS):
            raise SystemExit(f"ONLY={parts!r}: {sorted(unknown)} is none of {','.join(PARTS)}")
        records = int(environ.get("RECORDS") or 200_000)
        return cls(
            parts.split(","),
            records,
            min(int(environ.get("DLT_RECORDS") or records), records),
            int(environ.get("ROUNDS") or 3),
            int(environ.get("ROWS") or 200_000),
            Path(environ.get("BENCH_PYTHON") or ROOT / ".local/bench-venv/bin/python"),
        )


class Bench:
    """One run of the benchmark, on one server, with files in one folder."""

    def __init__(self, options: Options, server: RunningServer, folder: Path) -> None:
        self.options = options
        self.server = server
        self.folder = folder
        self.ratios: list[float] = []
        self.table: list[tuple[str, ...]] = []

    def run(self) -> None:
        """Run the parts that were asked for, and fill the table."""
        parts = set(self.options.parts)
        if parts & {"limit", "ours", "dlt"}:
            tell(f"writing {self.options.records:,} records")
            files = write_snapshots(self.folder, self.options.records)
            ours = self.take_turns(files) if parts & {"limit", "ours"} else None
            if "dlt" in parts:
                self.run_dlt(files, ours)
        if "csv" in parts:
            self.read_csv()
            self.load_csv()

    def take_turns(self, files: Sequence[Path]) -> float | None:
        """Run the limit and the worker in turn; return the worker's median records a second."""
        limits: list[Outcome] = []
        ours: list[Outcome] = []
        again: list[Outcome] = []
        for number in range(1, self.options.rounds + 1):
            with self.database() as url:
                if "limit" in self.options.parts:
                    limits.append(self.measure(f"limit {number}", "limit", url, BATCH_SIZE, *files))
                if "ours" in self.options.parts:
                    ours.append(self.measure(f"ours {number}", "ours", url, "coingecko", *files))
                    if number == self.options.rounds:
                        again.append(self.measure("again", "ours", url, "coingecko", *files))
        self.ratios = [o.rate / limit.rate for o, limit in zip(ours, limits, strict=False)]
        self.note("limit: plain COPY", limits)
        self.note("ours", ours, f"{median(self.ratios):.2f} of the limit" if self.ratios else "")
        self.note("ours, again: nothing new", again)
        return median(o.rate for o in ours) if ours else None

    def run_dlt(self, files: Sequence[Path], ours: float | None) -> None:
        """Let dlt merge the records, or the first snapshots of them."""
        if not self.options.dlt_python.exists():
            raise SystemExit(f"{self.options.dlt_python}: no such Python; `make bench` makes it")
        share = files[: max(1, self.options.dlt_records * len(files) // self.options.records)]
        environ = {
            "HOME": str(self.folder),
            "DLT_DATA_DIR": str(self.folder),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "ERROR",
        }
        with self.database() as url:
            self.execute("CHECKPOINT")
            outcome = run(
                self.options.dlt_python, "dlt_peer", url, self.folder, *share, environ=environ
            )
        tell(f"dlt: {outcome.records:,} records in {outcome.seconds:.1f} s")
        words = f"ours is {ours / outcome.rate:.1f} times as fast" if ours else ""
        self.note("dlt: merge, upsert", [outcome], words)

    def read_csv(self) -> None:
        """Read a small and a large CSV file, and compare the memory that takes."""
        few, many = (
            self.measure(f"reading {rows:,} rows", "reading", write_csv(self.csv(rows), rows))
            for rows in (FEW_ROWS, MANY_ROWS)
        )
        self.note("CSV, read and checked", [few])
        self.note("CSV, read and checked", [many], f"{many.peak / few.peak:.2f} of the memory")

    def load_csv(self) -> None:
        """Load a small and a larger CSV file, and compare the memory that takes."""
        outcomes = []
        for rows in (FEW_ROWS, self.options.rows):
            file = write_csv(self.csv(rows), rows)
            with self.database() as url:
                outcomes.append(self.measure(f"loading {rows:,} rows", "ours", url, "csv", file))
        few, many = outcomes
        self.note("CSV, loaded", [few])
        self.note("CSV, loaded", [many], f"{many.peak / few.peak:.2f} of the memory")

    def csv(self, rows: int) -> Path:
        return self.folder / f"{rows}.csv"

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make a fresh, migrated database, and drop it afterwards."""
        url = self.server.url.set(database="bench")
        self.execute("CREATE DATABASE bench")
        try:
            upgrade(url)
            yield url.set(drivername="postgresql").render_as_string(hide_password=False)
        finally:
            self.execute("DROP DATABASE bench WITH (FORCE)")

    def measure(self, title: str, module: str, *arguments: object) -> Outcome:
        """Run a contestant, with nothing left for the server to write from the one before."""
        self.execute("CHECKPOINT")
        outcome = run(sys.executable, module, *arguments)
        tell(f"{title}: {outcome.records:,} records in {outcome.seconds:.1f} s")
        return outcome

    def execute(self, statement: str) -> None:
        """Execute a statement beside the database that is measured."""
        engine = create_engine(
            self.server.url.set(database="postgres"),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as connection:
            connection.execute(text(statement))

    def note(self, title: str, outcomes: Sequence[Outcome], words: str = "") -> None:
        """Add a line to the table: the medians of a contestant's outcomes."""
        if not outcomes:
            return
        rate = median(outcome.rate for outcome in outcomes)
        peak = max(outcome.peak for outcome in outcomes)
        self.table.append(
            (title, f"{outcomes[0].records:,}", f"{rate:,.0f}", f"{peak / 2**20:,.0f}", words)
        )

    def print(self) -> None:
        """Print the table, and what it was measured on."""
        write(f"PostgreSQL {self.server.version}, {os.cpu_count()} CPUs, {MACHINE}")
        if self.ratios:
            ratios = ", ".join(f"{ratio:.2f}" for ratio in self.ratios)
            write(f"ours to the limit, turn by turn: {ratios}; median {median(self.ratios):.2f}")
        write()
        head = ("", "records", "records/s", "peak MiB", "")
        for title, records, rate, peak, words in (head, *self.table):
            write(f"{title:<26}{records:>11}{rate:>11}{peak:>10}  {words}".rstrip())


def main() -> None:
    options = Options.from_env(os.environ)
    folder = Path(tempfile.mkdtemp(prefix="kasparro-bench-"))
    folder.chmod(0o755)  # the server runs as another user where this one is root
    try:
        with EmbeddedPostgres(folder).running() as server:
            bench = Bench(options, server, folder)
            bench.run()
            bench.print()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
