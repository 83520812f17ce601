"""Workers killed at random moments, for as long as told; what they leave must be what it should be.

    python -m tests.faults.soak [--seconds 600] [--seed 1]

Every round loads one state of the market: workers are started, one or two sources at once, and
killed at a random moment of their runs; then a run that nobody disturbs brings the rest. After
each round `verify` finds nothing, and the content is that of a database that saw the same states
without a kill. It ends with 1 at the first difference, and prints what to do to see it again.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.embedded.server import EmbeddedPostgres
from shared.model.catalogue import SOURCES
from shared.schema.operations import runs
from tests.fakes.databases import engine_on
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.market_world import World, sound
from tests.fakes.upstream import Upstream
from worker.maintenance.migrate import upgrade
from worker.maintenance.verify import Report

COINS = 600
BATCH_SIZE = 20
WHOLE = 1000
"""Records in a batch of the runs that nobody disturbs."""

USUAL_BATCHES = 8
"""How many batches of its run a worker has committed, in the mean, before it is to be killed."""

LONGEST_DELAY = 0.03
"""Seconds after that, within which it is: about as long as a few batches take."""

ROUNDS_IN_A_DATABASE = 15
"""After so many a new one is begun, so that reading all of it stays quick."""

KILLS_IN_A_ROUND = 20
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Kills:
    """Kills on one database; `hits` counts the workers that died of them."""

    def __init__(self, world: World, url: URL, dice: Random) -> None:
        self.world = world
        self.url = url
        self.dice = dice
        self.hits = 0
        self.together = 0
        world.batch_size = BATCH_SIZE

    def round(self, kills: int) -> Report:
        """Kill at least so many workers at the market as it is, then load it to its end."""
        until = self.hits + kills
        with engine_on(self.url) as engine:
            while self.hits < until:
                self._kill_some(engine, self.dice.sample(SOURCES, self.dice.choice((1, 2, 2))))
        assert self.world.run(self.url, BATCH_SIZE=WHOLE) == 0
        return sound(self.url)

    def midway(self) -> int:
        """Count the killed runs that had committed some batches, and had not come to their end."""
        stmt = select(func.count()).where(runs.c.reason == "interrupted", runs.c.batches > 0)
        with engine_on(self.url) as engine, engine.connect() as conn:
            return conn.execute(stmt).scalar_one()

    def _kill_some(self, engine: Engine, sources: Sequence[str]) -> None:
        """Start a worker for each source, and kill each at a moment of its own."""
        env = self.world.environ(self.url)
        workers = [
            WarmWorker(f"run --once --source {source}", env, self.world.folder)
            for source in sources
        ]
        for worker in workers:
            wait_until_it_loaded(engine, worker, int(self.dice.expovariate(1 / USUAL_BATCHES)))
            # Not waiting for luck: that the moment is a random one is what is tested.
            time.sleep(self.dice.uniform(0, LONGEST_DELAY))
            worker.kill()
        ended = [_end(worker) for worker in workers]
        self.hits += ended.count(-signal.SIGKILL)
        self.together += len(ended) > 1 and ended.count(-signal.SIGKILL)


def wait_until_it_loaded(engine: Engine, worker: WarmWorker, batches: int) -> None:
    """Return once the worker has committed so many batches of its run, or has ended."""
    stmt = select(runs.c.batches).where(runs.c.pid == worker.pid, runs.c.outcome == "running")
    give_up = time.monotonic() + 60
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        while worker.poll() is None:
            loaded = conn.execute(stmt).scalar()
            if loaded is not None and loaded >= batches:
                return
            assert time.monotonic() < give_up, f"worker {worker.pid} comes no further"
            time.sleep(0.005)


def _end(worker: WarmWorker) -> int:
    """Wait for a worker that was killed, or had come to its end before."""
    code = worker.wait()
    assert code in {0, -signal.SIGKILL}, worker.err
    worker.delete_output()
    return code


class Soak:
    """Rounds on one server until the time is over."""

    def __init__(self, server: URL, folder: Path, seed: int) -> None:
        self.server = server
        self.folder = folder
        self.seed = seed
        self.rounds = self.hits = self.together = self.midway = 0
        self.maintenance = create_engine(
            server.set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )

    def run(self, seconds: float) -> None:
        """Begin rounds until so many seconds have passed; the last one is ended."""
        over = time.monotonic() + seconds
        while time.monotonic() < over:
            self._fill_a_database(over)

    def _fill_a_database(self, over: float) -> None:
        dice = Random(f"{self.seed} {self.rounds}")
        with Upstream(COINS, seed=dice.randrange(1000)) as upstream:
            world = World(upstream, self.server, self.maintenance, self.folder)
            with world.database("template1") as broken, world.database("template1") as unbroken:
                for url in (broken, unbroken):
                    upgrade(url)
                kills = Kills(world, broken, dice)
                for _ in range(ROUNDS_IN_A_DATABASE):
                    held = kills.round(KILLS_IN_A_ROUND)
                    assert world.run(unbroken, BATCH_SIZE=WHOLE) == 0
                    assert held == sound(unbroken), f"round {self.rounds + 1} differs"
                    self.rounds += 1
                    say(f"round {self.rounds}: {self.hits + kills.hits} kills, {held.fingerprint}")
                    if time.monotonic() > over:
                        break
                    world.move_on()
                self.hits += kills.hits
                self.together += kills.together
                self.midway += kills.midway()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Soak, and say what was counted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kasparro soak ") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder, options=CARELESS).running() as server:
            soak = Soak(server.url, folder, options.seed)
            try:
                soak.run(options.seconds)
            except AssertionError as exc:
                say(f"DIFFERENT, with seed {options.seed}, after {soak.rounds} rounds: {exc}")
                return 1
            say(
                f"{soak.hits} workers killed in {soak.rounds} rounds, {soak.midway} of them midway "
                f"and {soak.together} beside another; nothing was lost or doubled"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
