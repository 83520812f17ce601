import signal
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from shared.schema.operations import checkpoints, runs
from tests.fakes.answers import Answer, real
from tests.fakes.databases import database_copy, report_of_an_unbroken_run
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import Report, verify

SIZE = 120
PAGE = 50
"""Assets of CoinGecko's pages, which it caps: there are three, the last of them not full."""

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def unbroken(server, maintenance_engine, template_database, tmp_path_factory) -> Report:
    """What a database holds after one run of every source that nothing disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    with database_copy(maintenance_engine, server.url, template_database) as url:
        return report_of_an_unbroken_run(url, SIZE, folder)


def assert_same(engine: Engine, unbroken: Report) -> None:
    report = verify(engine)
    assert report.findings == ()
    assert report.counted == unbroken.counted
    assert report.fingerprint == unbroken.fingerprint


@pytest.mark.parametrize("page", [pytest.param(1, marks=SLOW), 2, pytest.param(3, marks=SLOW)])
def test_killed_at_any_page_the_next_run_resumes_there(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report, page: int
):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream)
        hold = Answer(late_by=60)
        upstream.answers(hold, page=page)
        with WarmWorker("run --once --source coingecko", env, tmp_path) as worker:
            upstream.wait_until_asked(page)
            worker.kill()
            worker.communicate()
        first = [asked.params["page"] for asked in upstream.asked]

        ran = run_worker("run --once", env, tmp_path)
        asked = [a.params["page"] for a in upstream.asked if a.path.endswith("/coins/markets")]

    assert ran.returncode == 0, ran.stderr
    assert asked[len(first) :][0] in {str(page), str(max(page - 1, 1))}
    assert_same(engine, unbroken)
    with engine.connect() as conn:
        broken = conn.execute(select(runs).order_by(runs.c.id)).first()
    assert broken is not None
    assert (broken.outcome, broken.reason) == ("failed", "interrupted")
    with engine.connect() as conn:
        failed_at = conn.scalar(
            select(checkpoints.c.last_failure_at).where(checkpoints.c.source == "coingecko")
        )
    assert failed_at is not None


@pytest.mark.parametrize(
    "source", ["coingecko", *(pytest.param(name, marks=SLOW) for name in ("coinpaprika", "csv"))]
)
def test_a_run_that_fails_on_purpose_ends_with_the_content_of_one_that_did_not(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report, source: str
):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream, BATCH_SIZE=25)
        failing = {**env, "FAIL_AFTER_N_RECORDS": "60"}
        ran = run_worker(f"run --once --source {source}", failing, tmp_path)

        assert ran.returncode == 1
        assert f"{source}: run 1 failed (injected_failure: " in ran.stdout
        with engine.connect() as conn:
            run = conn.execute(select(runs)).one()
            checkpoint = conn.execute(select(checkpoints)).one()
        assert run.records_fetched == run.records_new == 50
        assert checkpoint.records_fetched == 50
        assert run.cursor_after == checkpoint.cursor

        ran = run_worker("run --once", env, tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert_same(engine, unbroken)


def test_a_stopped_worker_ends_after_committing_its_current_batch(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url, upstream)
        release = threading.Event()
        upstream.answers(Answer(after=release), page=3)
        with WarmWorker("run --source coingecko --interval 600", env, tmp_path) as worker:
            upstream.wait_until_asked(3)
            worker.send_signal(signal.SIGTERM)
            _, err = worker.communicate(timeout=30)
        release.set()

        assert worker.returncode == 0, err
        with engine.connect() as conn:
            run = conn.execute(select(runs)).one()
        assert (run.outcome, run.reason, run.records_new) == ("partial", "stopped", 2 * PAGE)

        run_worker("run --once", env, tmp_path)

    assert_same(engine, unbroken)


def test_a_second_worker_exits_with_3_and_names_the_holder_and_a_killed_one_frees_the_source(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=300) as upstream:
        env = environ(database_url, upstream)
        upstream.answers(real(), Answer(late_by=60))
        with WarmWorker("run --once --source coingecko", env, tmp_path) as holder:
            upstream.wait_until_asked(2)

            second = run_worker("run --once --source coingecko", env, tmp_path)
            other = run_worker("run --once --source csv", env, tmp_path)

            assert second.returncode == 3
            assert "coingecko: locked by worker run 1 on host" in second.stderr
            assert f"(pid {holder.pid})" in second.stderr
            assert other.returncode == 0
            holder.kill()
            holder.communicate()

        assert run_worker("run --once --source coingecko", env, tmp_path).returncode == 0
    assert not verify(engine).findings


def test_a_worker_killed_in_the_middle_of_a_batch_leaves_none_of_it(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(SIZE, page_cap=PAGE) as upstream, engine.connect() as blocker:
        env = environ(database_url, upstream)
        blocker.exec_driver_sql("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
        with WarmWorker("run --once --source coinpaprika", env, tmp_path) as worker:
            wait_until_blocked(engine)
            worker.send_signal(signal.SIGKILL)
            worker.communicate()
        blocker.rollback()

        assert worker.returncode == -signal.SIGKILL
        assert verify(engine).counted["raw_coinpaprika"] == 0
        assert run_worker("run --once", env, tmp_path).returncode == 0
    assert_same(engine, unbroken)


def wait_until_blocked(engine: Engine) -> None:
    """Return once some session waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    give_up = time.monotonic() + 60
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        while not conn.exec_driver_sql(waiting).scalar():
            assert time.monotonic() < give_up, "nothing came to wait for a lock"


@pytest.mark.slow
def test_the_database_cut_off_in_the_middle_of_a_statement_fails_the_run_and_says_so(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    end = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock'"
    )
    with Upstream(SIZE, page_cap=PAGE) as upstream, engine.connect() as blocker:
        env = environ(database_url, upstream)
        blocker.exec_driver_sql("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
        with WarmWorker("run --once --source coinpaprika", env, tmp_path) as worker:
            wait_until_blocked(engine)
            with engine.connect() as conn:
                assert conn.exec_driver_sql(end).scalar() == 1
            _, err = worker.communicate(timeout=60)
        blocker.rollback()

        assert worker.returncode == 1
        assert "Error: database: " in err
        assert "Traceback" not in err
        assert run_worker("run --once", env, tmp_path).returncode == 0
    assert_same(engine, unbroken)


SHEET = ["id,symbol,name,price_usd,last_updated"]
SHEET += [f"coin-{n},C{n},Coin {n},1.5,2026-01-02T12:00:00Z" for n in range(40)]


@pytest.mark.parametrize("arguments", ["import csv prices.csv", "run --once --source csv"])
def test_rows_that_differ_are_found_on_both_sides_of_a_kill(
    engine: Engine, database_url: URL, tmp_path: Path, arguments: str
):
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([*SHEET, SHEET[1].replace("1.5", "99"), ""]))
    env = environ(database_url, BATCH_SIZE=10, CSV_PATH=path)
    killed = run_worker(arguments, {**env, "FAULT": "after_commit:2"}, tmp_path)
    assert killed.returncode == -signal.SIGKILL

    ran = run_worker(arguments, env, tmp_path)

    assert ran.returncode == 1
    assert "run 2 partial (differing_rows: csv: 2 records differ from another record" in ran.stdout
    assert "such as 'coin-0' at 2026-01-02 12:00:00Z" in ran.stdout
    assert verify(engine).findings == ()


def test_a_row_that_was_corrected_after_a_kill_is_no_contradiction(
    engine: Engine, database_url: URL, tmp_path: Path
):
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([*SHEET, ""]))
    env = environ(database_url, BATCH_SIZE=10)
    run_worker("import csv prices.csv", {**env, "FAULT": "after_commit:2"}, tmp_path)
    path.write_text("\n".join([SHEET[0], SHEET[1].replace("1.5", "99"), *SHEET[2:], ""]))

    ran = run_worker("import csv prices.csv", env, tmp_path)

    assert ran.returncode == 0, ran.stderr
    with engine.connect() as conn:
        assert list(conn.scalars(select(runs.c.outcome).order_by(runs.c.id))) == [
            "failed",
            "succeeded",
        ]
        of_runs = select(checkpoints.c.last_success_at, checkpoints.c.last_failure_at)
        assert conn.execute(of_runs).one() == (None, None), "an import is no run of the source"
