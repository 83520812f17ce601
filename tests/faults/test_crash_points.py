import signal
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import URL

from shared.model.catalogue import SOURCES
from shared.model.faults import CRASH_POINTS, FAULT_POINTS
from shared.schema.operations import checkpoints, runs
from shared.schema.raw import RAW_LISTS
from tests.fakes.databases import engine_on
from tests.fakes.market_world import World, sound
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import Report

COINS = 80
KILLED_BATCH = 3
PAGE = 60
"""Assets of CoinGecko's pages: the killed batch is the last of one, so it moves the cursor."""

LOADED = "crash_points_loaded"
"""A database into which every source was loaded once, before the market moved."""


@pytest.fixture(scope="module")
def world(server, maintenance_engine, template_database, tmp_path_factory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with Upstream(assets=COINS) as upstream:
        world = World(upstream, server.url, maintenance_engine, folder)
        world.batch_size = 20
        with world.database(template_database, LOADED) as url:
            assert world.run(url) == 0
            world.move_on()
            yield world


@pytest.fixture(scope="module")
def unbroken(world: World) -> tuple[dict[str, Report], dict[str, int]]:
    """What each source makes of the loaded database in one run that nothing disturbs.

    And how many prices its runs compared then.
    """
    reports, compared = {}, {}
    for source in SOURCES:
        with world.database(LOADED) as url:
            assert world.run(url, f"--source {source}") == 0
            reports[source] = sound(url)
            assert reports[source].counted["rejects"]
            compared[source] = prices_compared(url, source)
            assert compared[source] > COINS / 2 or source in RAW_LISTS
    return reports, compared


def prices_compared(url: URL, source: str) -> int:
    """How many prices the runs of a source compared with older ones."""
    stmt = select(func.sum(runs.c.prices_compared)).where(runs.c.source == source)
    with engine_on(url) as engine, engine.connect() as conn:
        return conn.scalar(stmt)


def phases_of_runs(url: URL, source: str) -> list[dict[str, float]]:
    stmt = select(runs.c.phase_seconds).where(runs.c.source == source).order_by(runs.c.id)
    with engine_on(url) as engine, engine.connect() as conn:
        return list(conn.scalars(stmt))


def committed(url: URL, source: str) -> tuple[int, int]:
    """How many batches and records the source's checkpoint has seen."""
    columns = checkpoints.c
    with engine_on(url) as engine, engine.connect() as conn:
        stmt = select(columns.batches, columns.records_fetched).where(columns.source == source)
        return tuple(conn.execute(stmt).one())


def points_of_sources() -> Iterator[object]:
    """Every point for every source; every fourth one, for one source, in `make test`."""
    quick = {(point, "coingecko") for point in CRASH_POINTS[::4]}
    for case in product(CRASH_POINTS, SOURCES):
        yield pytest.param(*case, marks=[] if case in quick else [pytest.mark.slow])


@pytest.mark.parametrize(("point", "source"), [*points_of_sources()])
def test_killed_at_a_point_of_a_batch_the_next_run_gives_the_same_content(
    world: World,
    unbroken: tuple[dict[str, Report], dict[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    source: str,
):
    reports, compared = unbroken
    monkeypatch.setattr(world.upstream, "page_cap", PAGE)
    with world.database(LOADED) as url:
        batches, records = committed(url, source)

        killed = world.run(url, f"--source {source}", FAULT=f"{point}:{KILLED_BATCH}")

        landed = KILLED_BATCH if point == "after_commit" else KILLED_BATCH - 1
        assert killed == -signal.SIGKILL
        now = committed(url, source)
        assert now[0] == batches + landed
        # A platform's last batch is shorter.
        platforms = source == "coinpaprika_contracts"
        assert now[1] == records + landed * world.batch_size or (platforms and now[1] > records)
        sound(url)
        assert phases_of_runs(url, source)[-1]["check"] > 0  # as of the last batch that landed

        assert world.run(url, f"--source {source}") == 0

        assert sound(url) == reports[source]
        assert prices_compared(url, source) == compared[source]
        with engine_on(url) as engine, engine.connect() as conn:
            stmt = select(runs.c.outcome, runs.c.reason).where(runs.c.source == source)
            ended = conn.execute(stmt.order_by(runs.c.id)).all()
        assert ended == [("succeeded", None), ("failed", "interrupted"), ("succeeded", None)]


def test_a_batch_with_nothing_new_passes_the_points_of_what_it_does_alone(
    world: World, unbroken: tuple[dict[str, Report], dict[str, int]]
):
    with world.database(LOADED) as url:
        assert world.run(url, "--source coingecko") == 0

        skipped = ["after_listings", "after_observations", "after_assets"]
        for point in skipped:
            assert world.run(url, "--source coingecko", FAULT=point) == 0
        for point in sorted(set(CRASH_POINTS) - set(skipped)):
            assert world.run(url, "--source coingecko", FAULT=point) == -signal.SIGKILL

        assert sound(url) == unbroken[0]["coingecko"]


def test_in_production_the_worker_does_not_start_with_a_fault(database_url: URL, tmp_path: Path):
    for name, value in (("FAULT", "after_raw"), ("FAIL_AFTER_N_RECORDS", "1")):
        env = environ(database_url, ENVIRONMENT="production", **{name: value})

        ran = run_worker("run --once --source csv", env, tmp_path)

        assert ran.returncode == 2
        assert f"Error: {name}: not allowed if ENVIRONMENT is 'production'" in ran.stderr


def test_an_unknown_point_is_answered_with_those_that_there_are(database_url: URL, tmp_path: Path):
    env = environ(database_url, FAULT="after_lunch")

    ran = run_worker("run --once --source csv", env, tmp_path)

    assert ran.returncode == 2
    assert f"FAULT: 'after_lunch': expected one of {', '.join(FAULT_POINTS)}" in ran.stderr
