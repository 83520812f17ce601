from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from tests.fakes.batches import COINGECKO, load, market
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import environ, run_worker
from tests.faults.test_resume import wait_until_blocked
from worker.maintenance.verify import verify


@pytest.mark.parametrize("table", ["observations", "listings", "assets"])
def test_killed_at_any_table_reprocess_starts_again_and_readers_go_on(
    engine: Engine, database_url: URL, tmp_path: Path, table: str
):
    load(engine, COINGECKO, *(market(f"coin-{n}", f"c{n}", f"Coin {n}") for n in range(9)))
    before = verify(engine, [COINGECKO])
    with engine.begin() as conn:
        conn.execute(text("DELETE FROM observations"))
        conn.execute(text("UPDATE listings SET price_usd = 7"))
        conn.execute(text("UPDATE assets SET price_usd = 9"))
    env = environ(database_url)

    with engine.connect() as blocker:
        blocker.exec_driver_sql(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        with WarmWorker("reprocess --source coingecko", env, tmp_path) as worker:
            wait_until_blocked(engine)
            with engine.connect() as reader:
                reader.exec_driver_sql("SET statement_timeout = '30s'")
                joined = "SELECT count(*) FROM assets JOIN listings ON asset_id = assets.id"
                assert reader.exec_driver_sql(joined).scalar() == 9
            worker.kill()
            worker.communicate()
        blocker.rollback()
    assert verify(engine).findings

    again = run_worker("reprocess --source coingecko", env, tmp_path)

    assert again.returncode == 0, again.stderr
    assert verify(engine, [COINGECKO]) == before
