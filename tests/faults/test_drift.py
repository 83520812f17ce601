import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import URL

from shared.schema.operations import drift, runs, shapes
from tests.fakes.answers import Answer, body
from tests.fakes.cases import sparse
from tests.fakes.market import Coin, Market
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import verify

SIZE = 600
"""Assets: three pages of CoinGecko's."""

RUN = "run --once --source coingecko"


class Grown(Market):
    """The same market, a release of the provider's later: a field more, and one renamed."""

    def _market(self, coin: Coin) -> bytes:
        document = json.loads(super()._market(coin))
        document["market_cap_position"] = document.pop("market_cap_rank")
        document["is_new"] = True
        return json.dumps(document).encode()


def grow(upstream: Upstream) -> None:
    upstream.market = Grown(SIZE)
    upstream.market.tick()


def found(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as conn:
        stmt = select(drift.c.path, drift.c.kind).order_by(drift.c.path, drift.c.kind)
        return [(row.path, row.kind) for row in conn.execute(stmt)]


def assert_counts_are_those_of_the_runs(engine: Engine) -> None:
    with engine.connect() as conn:
        fetched = conn.scalar(select(func.sum(runs.c.records_fetched)))
        counted = conn.execute(
            select(shapes.c.records, shapes.c.last_run_records, shapes.c.last_run_id).where(
                shapes.c.path == ""
            )
        ).one()
        last = conn.scalar(select(runs.c.records_fetched).where(runs.c.id == counted.last_run_id))
        assert counted.records == fetched
        assert counted.last_run_records == last
        ids = conn.scalar(
            select(func.sum(shapes.c.records)).where(
                shapes.c.path == "id", shapes.c.type == "string"
            )
        )
        assert ids == fetched


def warnings(out: str) -> list[dict[str, Any]]:
    logged = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [each for each in logged if "differences" in each]


CHANGES = [
    ("is_new", "appeared"),
    ("market_cap_position", "appeared"),
    ("market_cap_rank", "renamed"),
    ("market_cap_rank", "vanished"),
]


@pytest.mark.parametrize("fault", sparse(["before_commit:2", "after_commit:2"], 2))
def test_a_run_killed_in_a_batch_leaves_the_shapes_of_the_batches_that_landed(
    engine: Engine, database_url: URL, tmp_path: Path, fault: str
):
    with Upstream(assets=SIZE) as upstream:
        env = environ(database_url, upstream)
        killed = run_worker(RUN, {**env, "FAULT": fault}, tmp_path)
        assert killed.returncode == -9
        assert run_worker(RUN, env, tmp_path).returncode == 0
        assert_counts_are_those_of_the_runs(engine)
        assert found(engine) == []

        grow(upstream)
        assert run_worker(RUN, {**env, "FAULT": fault}, tmp_path).returncode == -9
        assert found(engine) == []
        ran = run_worker(RUN, env, tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert_counts_are_those_of_the_runs(engine)
    assert [change for change in found(engine) if change[1] == "appeared"] == CHANGES[:2]
    assert len(warnings(ran.stderr)) == 1
    assert verify(engine).findings == ()


@pytest.mark.slow
def test_a_run_that_breaks_off_compares_nothing_and_the_next_one_sees_what_it_stored(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=SIZE) as upstream:
        env = environ(database_url, upstream)
        run_worker(RUN, env, tmp_path)
        grow(upstream)
        upstream.answers(body(b"<html>"), page=2)
        broken = run_worker(RUN, env, tmp_path)

        assert broken.returncode == 1
        assert found(engine) == []
        assert warnings(broken.stderr) == []

        assert run_worker(RUN, env, tmp_path).returncode == 0

    assert found(engine) == CHANGES
    with engine.connect() as conn:
        rows = conn.execute(select(drift).order_by(drift.c.path, drift.c.kind)).all()
    assert [(row.first_run_id, row.last_run_id) for row in rows] == [(2, 3), (2, 3), (3, 3), (3, 3)]
    assert_counts_are_those_of_the_runs(engine)


def test_what_differs_is_warned_of_once_a_run_until_a_person_accepts_it(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=SIZE) as upstream:
        env = environ(database_url, upstream)
        assert warnings(run_worker(RUN, env, tmp_path).stderr) == []
        grow(upstream)
        (warning,) = warnings(run_worker(RUN, env, tmp_path).stderr)
        assert "worker drift list" in warning["event"]
        assert "'market_cap_rank' vanished in 100% of the records" in warning["differences"]
        fingerprint = verify(engine).fingerprint

        tried = run_worker("drift ack --all --dry-run", env, tmp_path)
        assert "4 would be acknowledged" in tried.stdout
        listed = run_worker("drift list --source coingecko --json", env, tmp_path)
        rows = json.loads(listed.stdout)
        assert sorted((row["path"], row["kind"]) for row in rows) == CHANGES
        gone = next(row["id"] for row in rows if row["kind"] == "vanished")
        acked = run_worker(f"drift ack {gone} 999", env, tmp_path)
        assert f"drift {gone}: coingecko: 'market_cap_rank' vanished" in acked.stdout
        assert "1 acknowledged" in acked.stdout
        assert "drift 999: not open" in acked.stderr
        assert acked.returncode == 1
        assert "3 acknowledged" in run_worker("drift ack --all", env, tmp_path).stdout
        assert "no drift" in run_worker("drift list", env, tmp_path).stdout
        assert verify(engine).fingerprint == fingerprint  # the ledger is no part of the content

        upstream.market.tick()
        assert warnings(run_worker(RUN, env, tmp_path).stderr) == []
    assert found(engine) == CHANGES


def test_a_price_that_turned_null_fails_the_run_and_says_what_to_type(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=100) as upstream:
        env = environ(database_url, upstream)
        run_worker(RUN, env, tmp_path)
        upstream.market.tick()
        records = [json.loads(upstream.market.market(coin)) for coin in upstream.market.coins]
        nulls = json.dumps([{**record, "current_price": None} for record in records]).encode()
        upstream.always(Answer(body=nulls))

        failed = run_worker(RUN, env, tmp_path)
        assert failed.returncode == 1
        assert "failed (drift: coingecko: 'current_price' became null in 100%" in failed.stdout
        assert "`worker drift ack ID`" in failed.stdout
        assert verify(engine).counted["raw_coingecko"] == 200

        run_worker("drift ack --all", env, tmp_path)
        assert run_worker(RUN, env, tmp_path).returncode == 0
