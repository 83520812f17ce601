"""Runs that are killed while coins come and go and instants are revised."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Engine, func, select, text

from shared.model.faults import CRASH_POINTS
from shared.schema.market import absences
from shared.schema.operations import runs
from tests.fakes.databases import empty
from tests.fakes.gunicorn import until
from tests.fakes.market import Market
from tests.fakes.runner import Runner
from tests.fakes.upstream import Upstream
from worker.ingest.faults import At, Faults
from worker.ingest.runs.options import Result
from worker.maintenance.verify import Report, verify

COINS = 60
PASSES = 9
RETURNS, STAYS_AWAY = 7, 40
"""The places of two coins that are taken off the market, among its coins."""
POINTS = (*CRASH_POINTS, "before_run_end")


LOCKS = text("""
SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
WHERE locktype = 'advisory' AND d.datname = current_database()
""")


class Killed(BaseException):
    """Ends a run wherever it is, and no code of the run's takes note of it."""


class Kills(Faults):
    """Kills the process's run at a point of its n-th batch, where it comes to it."""

    def __init__(self, point: str, batch: int) -> None:
        super().__init__()
        self.point, self.left = point, batch

    def of_batch(self, source: str, read: int) -> At:  # noqa: ARG002
        def at(point: str) -> None:
            if point == self.point:
                self.left -= 1
                if not self.left:
                    raise Killed(point)

        return at


@dataclass
class History:
    """One market's history, read by runs of which any may be killed."""

    engine: Engine
    upstream: Upstream
    dice: Random | None
    """Says where runs are killed; none are without it."""
    now: datetime = datetime(2025, 3, 2, tzinfo=UTC)
    killed: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Read the market whole, in as many runs as that takes."""
        if self.dice is not None:
            for _ in range(2):
                point = self.dice.choice(POINTS)
                self._run_until(point, 1 if point == "before_run_end" else self.dice.randint(1, 4))
        assert self._run(Faults()).succeeded

    def _run_until(self, point: str, batch: int) -> None:
        try:
            self._run(Kills(point, batch))
        except Killed:
            self.killed.append(point)
        # The server needs a moment to see that a session is gone.
        until(self._is_free)

    def _is_free(self) -> bool:
        with self.engine.connect() as conn:
            return not conn.scalar(LOCKS)

    def _run(self, faults: Faults) -> Result:
        options = {"clock": lambda: self.now, "faults": faults}
        return Runner(self.engine, self.upstream, "coingecko", 20, options=options).run()

    def play(self) -> Report:
        """Let coins go and come back, and instants be revised; say what is held in the end."""
        market = self.upstream.market = Market(COINS)
        returning, leaving = market.coins[RETURNS], market.coins[STAYS_AWAY]
        for number in range(PASSES):
            if number == 1:
                market.coins.remove(returning)
                market.coins.remove(leaving)
            if number == PASSES - 2:
                market.coins.insert(RETURNS, returning)
            self.now += timedelta(hours=3)
            market.tick(3 * 3600)
            self.read()
            if number % 3 == 2:  # the same instants again, with other values
                market.tick(0, share=0.3)
                self.read()
        report = verify(self.engine)
        assert report.findings == ()
        return report


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def absences_of(engine: Engine) -> list[tuple[str, bool]]:
    """List the ids that were delisted, and whether they returned."""
    stmt = select(absences.c.external_id, absences.c.returned_at.is_not(None))
    with engine.connect() as conn:
        return sorted(map(tuple, conn.execute(stmt.where(absences.c.delisted_at.is_not(None)))))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]
)
def test_runs_killed_as_coins_come_and_go_and_instants_are_revised_end_as_if_undisturbed(
    engine: Engine, upstream: Upstream, seed: int
):
    unbroken = History(engine, upstream, None).play()
    went = absences_of(engine)
    market = upstream.market
    assert went == sorted(
        [(Market(COINS).coins[RETURNS].slug, True), (Market(COINS).coins[STAYS_AWAY].slug, False)]
    )
    with engine.connect() as conn:
        assert conn.scalar(select(func.sum(runs.c.records_revised))) > market.coins[0].number
    empty(engine)

    history = History(engine, upstream, Random(seed))

    assert history.play() == unbroken
    assert absences_of(engine) == went
    assert len(history.killed) >= PASSES
    assert "before_run_end" in history.killed
