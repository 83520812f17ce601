from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

import pytest

from tests.fakes.market_world import World, sound
from tests.fakes.upstream import Upstream
from tests.faults.soak import WHOLE, Kills
from worker.maintenance.verify import Report

SEEDS = [(0, 2), *(pytest.param(seed, 17, marks=pytest.mark.slow) for seed in range(3))]
"""Seeds and the kills in a round: 4 kills in `make test`, 102 in `make test-slow`."""

COINS = 120

STATES = 2
"""States of the market that each database is to hold, one after the other."""


@pytest.fixture(scope="module")
def worlds(server, maintenance_engine, tmp_path_factory):
    """Give worlds that are all the same."""

    @contextmanager
    def world() -> Iterator[World]:
        folder = tmp_path_factory.mktemp("world")
        with Upstream(assets=COINS) as upstream:
            world = World(upstream, server.url, maintenance_engine, folder)
            yield world

    return world


@pytest.fixture(scope="module")
def unbroken(worlds, template_database) -> Sequence[Report]:
    """What a database holds after each state, loaded by one run that nothing disturbed."""
    reports = []
    with worlds() as world, world.database(template_database) as url:
        for _ in range(STATES):
            assert world.run(url, BATCH_SIZE=WHOLE) == 0
            reports.append(sound(url))
            world.move_on()
    return reports


@pytest.mark.parametrize(("seed", "kills_in_a_round"), SEEDS)
def test_workers_killed_at_random_moments_lose_nothing_and_duplicate_nothing(
    worlds, unbroken: Sequence[Report], template_database: str, seed: int, kills_in_a_round: int
):
    with worlds() as world, world.database(template_database) as url:
        kills = Kills(world, url, Random(seed))
        for state in range(STATES):
            assert kills.round(kills_in_a_round) == unbroken[state]
            world.move_on()

        assert kills.hits >= STATES * kills_in_a_round
        assert kills.together
        assert kills.midway()
