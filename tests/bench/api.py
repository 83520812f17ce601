"""How fast the API answers, beside bare Flask (the limit) and the same pages from FastAPI.

    python -m tests.bench.api
    python -m tests.bench.api --profile warm|cold [PATH]

20 000 assets on an embedded Postgres of its own, with its usual options, in a folder that is
removed afterwards; every server runs with two workers, on loopback. The cells take turns, round by
round, and the median counts. From the environment:

    ONLY=limit,warm,cold   which cells to measure (all)
    SECONDS=5              how long each is measured in a round
    ROUNDS=3               how often each takes its turn
    CONNECTIONS=8          how many clients ask at a time
    ASSETS=20000           how many assets there are
    BENCH_PYTHON           the Python that has FastAPI (.local/bench-venv/bin/python)
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from sqlalchemy.engine import URL

from shared.embedded.server import EmbeddedPostgres, RunningServer
from shared.logs import configure_logs
from tests.bench.api_cells import FIRST, Cell, cells, differences, walk
from tests.bench.api_load import WRK, Load, ask, put_load
from tests.bench.api_market import count_assets, load_market
from tests.bench.api_profile import profile
from tests.bench.api_servers import gunicorn, ours, uvicorn
from tests.bench.api_table import lines
from tests.bench.measure import MACHINE, ROOT, tell, write

EXPORT_CONNECTIONS = 1  # as many as one process sends at once
PAGE = "page.json"


@dataclass(frozen=True, slots=True)
class Options:
    """What the environment asks for."""

    only: Sequence[str]
    seconds: int
    rounds: int
    connections: int
    assets: int
    peer_python: Path

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Options":
        return cls(
            [name for name in (environ.get("ONLY") or "").split(",") if name],
            int(environ.get("SECONDS") or 5),
            int(environ.get("ROUNDS") or 3),
            int(environ.get("CONNECTIONS") or 8),
            int(environ.get("ASSETS") or 20_000),
            Path(environ.get("BENCH_PYTHON") or ROOT / ".local/bench-venv/bin/python"),
        )


def measure(options: Options, server: RunningServer, folder: Path) -> None:
    """Start every server, let the cells take their turns, and print the table."""
    with contextlib.ExitStack() as running:
        tell("starting the servers")
        ports = start_servers(running, options, server.reader_url, folder)
        tell("walking the list")
        walked = walk(ports["ours"])
        notes = list(differences(ports, walked))
        wanted = choose(options.only, cells(ports, walked))
        skipped = {cell.name: why for cell in wanted if (why := cell.refusal(ports))}
        loads = take_turns(options, [c for c in wanted if c.name not in skipped], ports, folder)
    assets, shared = count_assets(server.url)
    page = (folder / PAGE).stat().st_size
    write(f"PostgreSQL {server.version}, {os.cpu_count()} CPUs, {MACHINE}")
    write(f"{assets:,} assets, {shared:,} of both sources; a page is {page:,} bytes")
    write(
        f"{options.connections} connections, {options.rounds} rounds of {options.seconds} s, "
        f"by {WRK or 'Python, since there is no wrk'}"
    )
    for line in (*notes, "", *lines(wanted, loads, skipped)):
        write(line)


def start_servers(
    running: contextlib.ExitStack, options: Options, url: URL, folder: Path
) -> Mapping[str, int]:
    """Start ours with its cache and without, the limit, and the peer where it is installed."""
    start = running.enter_context
    ports = {
        "ours": start(ours("ours", folder, url)),
        "cold": start(ours("cold", folder, url, API_CACHE_MB="0")),
    }
    status, _, page = ask(ports["ours"], FIRST, {})
    if status != HTTPStatus.OK:
        raise SystemExit(f"{FIRST} answers {status}: {page[:500]!r}")
    (folder / PAGE).write_bytes(page)
    body = str(folder / PAGE)
    ports["limit"] = start(gunicorn("tests.bench.api_limit:app", "limit", folder, BENCH_BODY=body))
    if options.peer_python.exists():
        ports["peer"] = start(uvicorn(options.peer_python, "tests.bench.api_peer:app", folder, url))
    else:
        tell(f"{options.peer_python}: no such Python; `make bench` makes it")
    return ports


def choose(only: Sequence[str], found: Sequence[Cell]) -> Sequence[Cell]:
    """Keep the cells with these names; all where none is named."""
    names = [cell.name for cell in found]
    if unknown := set(only) - set(names):
        raise SystemExit(f"ONLY={','.join(only)!r}: {sorted(unknown)} is none of {','.join(names)}")
    return [cell for cell in found if not only or cell.name in only]


def take_turns(
    options: Options, wanted: Sequence[Cell], ports: Mapping[str, int], folder: Path
) -> Mapping[str, Sequence[Load]]:
    """Measure each cell once a round, after a moment in which it warms up."""
    loads: dict[str, list[Load]] = {cell.name: [] for cell in wanted}
    asked = dict.fromkeys(loads, 0)
    for number in range(1, options.rounds + 1):
        for cell in wanted:
            target = cell.target(ports)
            connections = EXPORT_CONNECTIONS if cell.name == "export" else options.connections
            if number == 1:
                asked[cell.name] = put_load(target, folder, 1, connections).requests
            load = put_load(target, folder, options.seconds, connections, asked[cell.name])
            asked[cell.name] += load.requests
            loads[cell.name].append(load)
            tell(f"{cell.name} {number}: {load.rate:,.0f} requests/s")
    return loads


@contextlib.contextmanager
def market(assets: int) -> Iterator[tuple[RunningServer, Path]]:
    """Give a server with so many assets, and a folder, for one `with` block."""
    folder = Path(tempfile.mkdtemp(prefix="kasparro-bench-"))
    folder.chmod(0o755)  # the server runs as another user where this one is root
    try:
        with EmbeddedPostgres(folder).running() as server:
            tell(f"loading {assets:,} assets")
            load_market(server.url, assets)
            yield server, folder
    finally:
        shutil.rmtree(folder)


def main(arguments: Sequence[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and end every server on the way
    configure_logs("WARNING", "console")
    options = Options.from_env(os.environ)
    match arguments:
        case []:
            with market(options.assets) as (server, folder):
                measure(options, server, folder)
        case ["--profile", ("warm" | "cold") as kind, *paths] if len(paths) < 2:
            with market(options.assets) as (server, _):
                profile(server.reader_url, kind, *paths)
        case _:
            raise SystemExit("usage: python -m tests.bench.api [--profile warm|cold [PATH]]")


if __name__ == "__main__":
    main(sys.argv[1:])
