"""Connections, the server or its schema go away: the loop waits until they are back."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.embedded.home import ServerHome, find_home
from shared.embedded.server import EmbeddedPostgres
from shared.schema.base import SCHEMA_REVISION
from tests.fakes.answers import edited, held
from tests.fakes.database_faults import (
    BATCH_SIZE,
    COINGECKO_FIRST,
    PAGE,
    SIZE,
    assert_each_once,
    assert_same,
    count_by_run,
    environ,
    read_runs,
    terminate_the_blocked,
    wait_until,
    wait_until_blocked,
    with_options,
)
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import run_worker
from tests.fakes.upstream import Upstream
from tests.fakes.worker_loop import Loop
from worker.cli.main import main
from worker.database.locks import locked
from worker.maintenance.migrate import upgrade
from worker.maintenance.verify import Report, verify

KEEPS_ITS_WORD = {"fsync": "off", "full_page_writes": "off"}
"""A server that has committed only what a crash of it (not of the machine) leaves in place."""

TERMINATE_WORKERS = text("""
SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'worker %'
""")


def test_a_connection_terminated_in_the_middle_of_a_statement_does_not_end_the_loop(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(SIZE, page_cap=PAGE) as upstream, engine.connect() as blocker:
        env = environ(database_url, upstream, SOURCES="coinpaprika,coingecko,csv")
        blocker.exec_driver_sql("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
        with Loop(env, tmp_path) as loop:
            wait_until_blocked(engine)
            assert terminate_the_blocked(engine) == 1
            away = loop.wait_until_said("the database is unavailable")
            assert loop.said("the connection was lost", committed_before=0)
            blocker.rollback()
            loop.wait_until_said("run finished", source="csv")
            loop.end()

    assert away["error"].startswith("database: ")
    first, *others = read_runs(engine)
    assert (first.reason, first.records_fetched) == ("interrupted", 0)
    assert {row.outcome for row in others} == {"succeeded"}
    assert_same(engine, unbroken)


def test_one_pass_tells_what_was_locked_beside_a_database_that_went_away(
    engine: Engine, database_url: URL
):
    def go_away(body: bytes) -> bytes:
        with engine.connect() as conn:
            assert conn.scalar(TERMINATE_WORKERS)
        return body

    with Upstream(SIZE) as upstream, locked(engine, "csv"):
        upstream.answers(edited(go_away))
        env = environ(database_url, upstream, SOURCES="csv,coingecko")
        ran = CliRunner(env=env).invoke(main, ["run", "--once"])

    assert ran.exit_code == 1
    one, other = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert one.startswith("Error: csv: locked by ")
    assert other.startswith("Error: database: ")


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[tuple[URL, ServerHome]]:
    """Give a migrated server of the test's own, which it may stop and start."""
    with EmbeddedPostgres(folder, options=KEEPS_ITS_WORD).running() as running:
        upgrade(running.url)
        yield running.url, find_home(folder)


def stop_server(home: ServerHome, mode: str) -> None:
    stopped = home.run("pg_ctl", "stop", "-m", mode, environ={"PGDATA": str(home.data)})
    assert stopped.returncode == 0, stopped.stderr


def test_the_server_stopped_and_started_again_under_the_loop_does_not_end_it(
    project: Path, tmp_path: Path, unbroken: Report
):
    again = EmbeddedPostgres(project, options=KEEPS_ITS_WORD)
    with (
        own_server(project) as (url, home),
        Upstream(SIZE, page_cap=PAGE) as upstream,
        contextlib.ExitStack() as users,
    ):
        engine = create_engine(url, poolclass=NullPool)
        env = environ(url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)
        release = threading.Event()
        upstream.answers(held(release), page=2)
        with Loop(env, tmp_path) as loop:
            # In the middle of a run, between two statements.
            upstream.wait_until_asked(2)
            wait_until(lambda: read_runs(engine)[0].batches == 2, "page 1 was not committed")
            stop_server(home, "fast")
            release.set()
            loop.wait_until_said("the database is unavailable")
            blocked = held(threading.Event())
            upstream.answers(blocked, page=2)
            users.enter_context(again.running())

            # In the middle of a statement, and without a word to the worker.
            with engine.connect() as blocker:
                blocker.exec_driver_sql("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
                assert blocked.after
                blocked.after.set()
                wait_until_blocked(engine)
                stop_server(home, "immediate")
                blocker.invalidate()
            times = len(loop.said("the database is unavailable"))
            loop.wait_until_said("the database is unavailable", times=times + 1)
            users.enter_context(again.running())

            loop.wait_until_said("run finished", source="csv")
            loop.end()

        away = [line["seconds"] for line in loop.said("the database is unavailable")]
        told = loop.said("an earlier run was interrupted")
        assert away == [min(2**n, 60) for n in range(len(away))]
        assert [line["batches"] for line in told] == [2, 0]
        assert [row.outcome for row in read_runs(engine)] == ["failed"] * 2 + ["succeeded"] * 3
        assert_each_once(engine, "coingecko")
        assert_same(engine, unbroken)


def test_a_worker_killed_while_its_statement_waits_gives_the_source_back_before_that_ends(
    engine: Engine, database_url: URL, tmp_path: Path
):
    held_by_a_worker = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with Upstream(SIZE, page_cap=PAGE) as upstream, engine.connect() as blocker:
        env = environ(with_options(database_url, "-c lock_timeout=1h"), upstream)
        blocker.exec_driver_sql("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
        with WarmWorker("run --once --source coingecko", env, tmp_path) as worker:
            wait_until_blocked(engine)
            worker.kill()
            worker.communicate()

        def is_free() -> bool:
            return blocker.exec_driver_sql(held_by_a_worker).scalar() == 0

        wait_until(is_free, "the dead worker's session kept its lock")
        blocker.rollback()
    assert verify(engine).findings == ()
    assert count_by_run(engine, "raw_coingecko") == {}


@pytest.mark.slow
def test_a_schema_that_changes_under_the_loop_is_waited_for_and_at_its_start_is_refused(
    engine: Engine, database_url: URL, tmp_path: Path
):
    def set_revision(revision: str) -> None:
        with engine.begin() as conn:
            conn.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})

    env = environ(database_url, SOURCES="csv")
    with Loop(env, tmp_path, interval=1) as loop:
        loop.wait_until_said("run finished")
        set_revision("9999")
        said = loop.wait_until_said("configuration or schema became invalid")
        refused = run_worker("run --interval 1", env, tmp_path)
        done = len(loop.said("run finished"))
        set_revision(SCHEMA_REVISION)
        loop.wait_until_said("run finished", times=done + 1)
        loop.end()

    assert "schema is at revision '9999'" in said["error"]
    assert refused.returncode == 2
    assert "schema is at revision '9999'" in refused.stderr


@pytest.mark.slow
def test_a_server_without_a_free_connection_is_waited_for(
    engine: Engine, database_url: URL, maintenance_engine: Engine, tmp_path: Path, unbroken: Report
):
    with maintenance_engine.connect() as conn:
        conn.execute(text(f"ALTER DATABASE {database_url.database} CONNECTION LIMIT 0"))
        conn.execute(text("CREATE ROLE ordinary LOGIN"))
        conn.execute(text("GRANT kasparro TO ordinary"))
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(database_url.set(username="ordinary"), upstream)
        with Loop(env, tmp_path) as loop:
            away = loop.wait_until_said("the database is unavailable", times=2)
            with maintenance_engine.connect() as conn:
                conn.execute(text(f"ALTER DATABASE {database_url.database} CONNECTION LIMIT -1"))
            for source in ("coinpaprika", "coingecko", "csv"):
                loop.wait_until_said("run finished", source=source, outcome="succeeded")
            loop.end()
    with engine.begin() as conn:
        conn.execute(text("REASSIGN OWNED BY ordinary TO kasparro"))  # The partitions it made.
        conn.execute(text("DROP ROLE ordinary"))

    assert "too many connections for database" in away["error"]
    assert_same(engine, unbroken)
