import signal
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import URL

from shared.model.faults import CRASH_POINTS
from shared.model.records import RawRecord, Reject
from shared.schema.operations import rejects
from tests.fakes.batches import COINGECKO, market, open_run
from tests.fakes.cases import sparse
from tests.fakes.processes import environ, run_worker
from worker.ingest.batch import transaction
from worker.ingest.batch.contents import Batch
from worker.maintenance.verify import verify

SIZE = 9


@pytest.mark.parametrize("point", sparse(CRASH_POINTS, 3))
def test_a_retry_killed_at_a_point_of_a_batch_loses_and_doubles_nothing(
    engine: Engine, database_url: URL, tmp_path: Path, point: str
):
    payloads = [market(f"coin-{n}", f"c{n}", f"Coin {n}") for n in range(SIZE)]
    payloads.append(market("nameless", "x", ""))
    refused = [Reject(RawRecord(each, "page 1", None), ["of an old schema"]) for each in payloads]
    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        transaction.load_batch(conn, "coingecko", run_id, Batch(b"", 0, refused, cursor=None))
    env = environ(database_url, BATCH_SIZE=3)

    killed = run_worker("rejects retry", {**env, "FAULT": f"{point}:2"}, tmp_path)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    landed = 6 if point == "after_commit" else 3
    still_open = select(func.count()).where(rejects.c.resolved_at.is_(None))
    with engine.connect() as conn:
        assert conn.scalar(still_open) == SIZE + 1 - landed
    assert verify(engine, [COINGECKO]).findings == ()

    again = run_worker("rejects retry", env, tmp_path)

    assert again.returncode == 0, again.stderr
    report = verify(engine, [COINGECKO])
    assert report.findings == ()
    assert report.counted["raw_coingecko"] == report.counted["observations"] == SIZE
    with engine.connect() as conn:
        assert conn.scalar(still_open) == 1
