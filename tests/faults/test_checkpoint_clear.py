import signal
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import URL

from shared.model.catalogue import SOURCES
from shared.schema.operations import checkpoints, runs
from tests.fakes.cases import sparse
from tests.fakes.databases import engine_on
from tests.fakes.market_world import World, sound
from tests.fakes.processes import run_worker
from tests.fakes.upstream import Upstream

COINS = 240


def clear(world: World, url: URL, source: str) -> None:
    cleared = run_worker(f"checkpoint clear {source}", world.environ(url), world.folder)
    assert cleared.returncode == 0, cleared.stderr
    with engine_on(url) as engine, engine.connect() as conn:
        stmt = select(checkpoints.c.cursor).where(checkpoints.c.source == source)
        assert conn.scalar(stmt) is None


@pytest.mark.parametrize("source", sparse(SOURCES, len(SOURCES)))
def test_a_checkpoint_can_be_cleared_at_any_time_and_nothing_is_written_twice(
    server, maintenance_engine, template_database, tmp_path: Path, source: str
):
    with Upstream(assets=COINS) as upstream:
        world = World(upstream, server.url, maintenance_engine, tmp_path)
        arguments = f"--source {source}"
        with world.database(template_database) as url:
            assert world.run(url, arguments, FAULT="after_commit:2") == -signal.SIGKILL
            half = sound(url).counted[f"raw_{source}"]
            clear(world, url, source)
            assert world.run(url, arguments) == 0
            whole = sound(url)

            clear(world, url, source)
            assert world.run(url, arguments) == 0
            again = sound(url)

            with engine_on(url) as engine, engine.connect() as conn:
                stmt = select(runs.c.records_fetched, runs.c.records_new).order_by(runs.c.id)
                killed, resumed, reread = conn.execute(stmt).all()

    assert 0 < half == killed.records_new
    assert killed.records_new + resumed.records_new == whole.counted[f"raw_{source}"]
    assert reread.records_fetched == resumed.records_fetched > 0
    assert reread.records_new == 0
    assert again == whole
