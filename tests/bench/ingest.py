"""How fast records are loaded, beside plain COPY (the limit) and dlt, and in how much memory.

    python -m tests.bench.ingest

A made-up market of two sources whose coins agree, with symbols shared as on CoinGecko in 2025:
records that are new, a pass in which 30 % moved, and the same pass again. Everything runs on one
server with its usual, durable options, in a folder that is removed afterwards; each contestant is a
process of its own with a database of its own. They take turns, and the median counts, since a
machine has other things to do as well. No figure fails it. From the environment:

    ONLY=limit,dlt,ours,stale,crowd,csv   which parts to run (these)
        limit, dlt, ours   plain COPY of what is new; dlt, which upserts; the worker
        stale              the worker, without autovacuum and with statistics of an empty database
        crowd              the worker, with 1 000 and with 4 000 coins of one symbol
        csv                a short and a longer CSV file, read and loaded
        observations       the worker beside 50 million observations (ONLY this, as it takes long)
    POSTGRES=18,15         on which versions; 18 is the embedded one, 15 must be installed
    RECORDS=80000          how many records are new
    ROUNDS=3               how often each takes its turn
    CROWDS=1000,4000       how many coins share a symbol
    OBSERVATIONS=50000000  how many there are before loading
    ROWS=200000            of the longer CSV file
    MINUTES=10             after which nothing more begins (60 with observations)
    BENCH_PYTHON           the Python that has dlt (.local/bench-venv/bin/python)
"""

import os
import signal
import sys
from pathlib import Path

from tests.bench.contestants import Contest
from tests.bench.ingest_csv import load_files
from tests.bench.ingest_options import ROUNDS, Options
from tests.bench.ingest_parts import (
    load_crowds,
    load_stale,
    take_turns,
    write_crowds,
    write_market,
)
from tests.bench.ingest_past import load_beside_past
from tests.bench.ingest_table import lines
from tests.bench.measure import MACHINE, tell, write
from tests.fakes.databases import open_folder
from tests.fakes.postgres import absence, running


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and end every server on the way
    options = Options.from_env(os.environ)
    with open_folder("kasparro-bench-") as folder:
        found = measure(options, folder)
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    write(f"{os.cpu_count()} CPUs, {MACHINE}, load {load} at the end")
    if "dlt" in options.parts and not options.dlt_python.exists():
        write(f"dlt: skipped, {options.dlt_python}: no such Python; `make bench` makes it")
    for line in found:
        write(line)


def measure(options: Options, folder: Path) -> list[str]:
    """Run the parts on each server; return the lines of the result."""
    tell("writing the records")
    parts = set(options.parts)
    market = write_market(folder, options) if parts & {*ROUNDS, "stale"} else None
    crowds = write_crowds(folder, options) if "crowd" in parts else {}
    result: list[str] = []
    for major in options.servers:
        if reason := absence(major):
            result += ["", f"PostgreSQL {major}: skipped, {reason}"]
            continue
        with running(major, folder) as server:
            tell(f"PostgreSQL {server.version}")
            contest = Contest(options, server, folder)
            for number in range(options.rounds):
                if market:
                    take_turns(contest, market)
                if market and "stale" in parts and number == 0:
                    load_stale(contest, market)
                load_crowds(contest, crowds)
            if major == options.servers[0] and "csv" in parts:
                load_files(contest)
            if major == options.servers[0] and "observations" in parts:
                load_beside_past(contest)
            result += ["", f"PostgreSQL {server.version}", *lines(contest)]
    return result


if __name__ == "__main__":
    main()
