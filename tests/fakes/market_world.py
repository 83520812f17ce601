"""All sources of one made-up market, and databases to load it into."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from shared.model.catalogue import SOURCES
from tests.fakes.databases import database_copy, engine_on
from tests.fakes.market_csv import write_sheet
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import Report, verify

EVERY_SOURCE = " ".join(f"--source {name}" for name in SOURCES)


class World:
    """The two upstreams and the CSV file, all of the same market.

    At first the market lacks a third of its coins. Once it has moved on they are there, between
    the others, and every figure is another: a batch then has records to insert and to update. The
    name of every sixtieth coin is empty, which makes its records rejects: too few to be noted.
    """

    def __init__(self, upstream: Upstream, server: URL, maintenance: Engine, folder: Path) -> None:
        self.upstream = upstream
        self.folder = folder
        self.sheet = folder / "market.csv"
        self.batch_size = 40
        self._server = server
        self._maintenance = maintenance
        self._coins = upstream.market.coins
        for coin in self._coins[::60]:
            coin.name = ""
        upstream.market.coins = [coin for coin in self._coins if coin.number % 3]
        write_sheet(self.sheet, upstream.market)

    def move_on(self) -> None:
        """Let five minutes pass in every source."""
        self.upstream.market.coins = self._coins
        self.upstream.market.tick()
        write_sheet(self.sheet, self.upstream.market)

    def environ(self, url: URL, **settings: object) -> dict[str, str]:
        """Make the environment of a worker that reads this world."""
        here = {"CSV_PATH": self.sheet, "BATCH_SIZE": self.batch_size}
        return environ(url, self.upstream, **{**here, **settings})

    def run(self, url: URL, arguments: str = "", **settings: object) -> int:
        """Run `worker run --once` to its end; return 0 where it succeeded, -9 where it was killed.

        Without `arguments` it reads every source, those too that it read a moment ago.

        Raises:
            AssertionError: it ended otherwise.
        """
        arguments = arguments or EVERY_SOURCE
        ran = run_worker(f"run --once {arguments}", self.environ(url, **settings), self.folder)
        assert ran.returncode in {0, -signal.SIGKILL}, ran.stdout + ran.stderr
        return ran.returncode

    @contextmanager
    def database(self, template: str, name: str | None = None) -> Iterator[URL]:
        """Give a copy of a database, for one `with` block."""
        with database_copy(self._maintenance, self._server, template, name) as url:
            yield url


def sound(url: URL) -> Report:
    """Say what a database holds, in which nothing is damaged.

    Raises:
        AssertionError: something is.
    """
    with engine_on(url) as engine:
        report = verify(engine)
    assert report.findings == ()
    return report
