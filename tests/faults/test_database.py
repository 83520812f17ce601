"""The database breaks under a running worker: nothing is lost or doubled, and it goes on."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Row, create_engine, select, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.embedded import EmbeddedPostgres
from shared.server_home import ServerHome, find_home
from shared.settings import SAMPLE_CSV
from shared.tables import SCHEMA_REVISION, checkpoints, runs
from tests.fakes import processes
from tests.fakes.databases import database_copy, report_of_an_unbroken_run
from tests.fakes.processes import run_worker, start_worker
from tests.fakes.relay import Cut, Relay
from tests.fakes.upstream import Upstream, held
from worker.migrate import upgrade
from worker.verify import Report, verify

SIZE = 600
BATCH_SIZE = 125
BATCHES = 5
"""CoinGecko's pages are of 250: 125 + 125, 125 + 125, 100."""

BEFORE_THE_FIRST_BATCH = 7
"""COMMITs of a worker before that of its first batch.

It brings the crosswalk up to date, takes the source's lock, looks for partitions and makes those
missing in each of two tables, and opens its run's row.
"""

COINGECKO_FIRST = "coingecko,coinpaprika,csv"
OF_LISTINGS = "csv,coinpaprika,coingecko"

SECONDS = 30
"""How long a condition is waited for before the test gives up."""


@pytest.fixture(scope="module")
def unbroken(server, maintenance_engine, template_database, tmp_path_factory) -> Report:
    """What a database holds after one run of every source of listings that nothing disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    with database_copy(maintenance_engine, server.url, template_database) as url:
        return report_of_an_unbroken_run(url, SIZE, folder, SOURCES=OF_LISTINGS)


def environ(url: URL, upstream: Upstream | None = None, **settings: object) -> dict[str, str]:
    """Make the environment of a worker that reads the sources of listings, unless told.

    The sample is named, so that a loop reads it as a single pass does.
    """
    chosen = {"SOURCES": OF_LISTINGS, "CSV_PATH": SAMPLE_CSV, **settings}
    return processes.environ(url, upstream, **chosen)


class Loop:
    """A worker's loop in a real process, whose log is read as it is written."""

    def __init__(self, env: Mapping[str, str], folder: Path, *, interval: int = 600) -> None:
        self._start = (f"run --interval {interval}", env, folder)
        self.lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __enter__(self) -> "Loop":
        self.process = start_worker(*self._start)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(json.loads(line))
                self._changed.notify_all()

    def said(self, event: str, **values: object) -> list[dict[str, Any]]:
        """Give the lines that begin with these words and carry these values."""
        return [
            line for line in self.lines if line["event"].startswith(event) and line | values == line
        ]

    def wait_until_said(self, event: str, times: int = 1, **values: object) -> dict[str, Any]:
        with self._changed:
            came = self._changed.wait_for(
                lambda: len(self.said(event, **values)) >= times, timeout=SECONDS
            )
        assert came, f"{event!r} {values} was not said: {self.lines[:20]}"
        return self.said(event, **values)[times - 1]

    def end(self) -> None:
        """Tell the worker to stop; that it does so well shows that it was alive."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == 0, self.lines
        assert not [line for line in self.lines if "exception" in line]

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()


def assert_same(engine: Engine, unbroken: Report) -> None:
    report = verify(engine)
    assert report.findings == ()
    assert report.counted == unbroken.counted
    assert report.fingerprint == unbroken.fingerprint


def assert_each_once(engine: Engine, source: str) -> None:
    """No record of the source counts twice, in the runs or at the checkpoint."""
    with engine.connect() as conn:
        rows = conn.execute(select(runs).where(runs.c.source == source)).all()
        checkpoint = conn.execute(select(checkpoints).where(checkpoints.c.source == source)).one()
    assert sum(row.records_new for row in rows) == SIZE
    assert checkpoint.records_new == SIZE
    assert checkpoint.records_fetched == sum(row.records_fetched for row in rows)
    assert checkpoint.batches == sum(row.batches for row in rows)


def read_runs(engine: Engine) -> Sequence[Row[Any]]:
    with engine.connect() as conn:
        return conn.execute(select(runs).order_by(runs.c.id)).all()


def count_by_run(engine: Engine, table: str) -> dict[int, int]:
    with engine.connect() as conn:
        rows = conn.exec_driver_sql(f"SELECT run_id, count(*) FROM {table} GROUP BY run_id")
        return {row.run_id: row.count for row in rows}


def wait_until(condition: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def wait_until_blocked(engine: Engine) -> None:
    """Return once some session of the database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    def blocked() -> object:
        with engine.connect() as conn:
            return conn.exec_driver_sql(waiting).scalar()

    wait_until(blocked, "nothing came to wait for a lock")


def terminate_the_blocked(engine: Engine) -> int:
    end = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with engine.connect() as conn:
        return int(conn.exec_driver_sql(end).scalar_one())


KEEPS_ITS_WORD = {"fsync": "off", "full_page_writes": "off"}
"""A server that has committed only what a crash of it (not of the machine) leaves in place."""

LANDED = {Cut.BEFORE_THE_ANSWER: 1, Cut.BEFORE_IT_ARRIVES: 0}


@pytest.mark.parametrize("batch", [1, 3, BATCHES])
@pytest.mark.parametrize("cut", LANDED)
def test_cut_off_at_a_batchs_commit_the_loop_learns_whether_it_landed_and_goes_on(
    engine: Engine,
    database_url: URL,
    tmp_path: Path,
    unbroken: Report,
    cut: Cut,
    batch: int,
):
    with Upstream(assets=SIZE) as upstream, Relay(database_url) as relay:
        relay.cut_at(BEFORE_THE_FIRST_BATCH + batch, cut)
        env = environ(relay.url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)

        with Loop(env, tmp_path) as loop:
            away = loop.wait_until_said("the database is away; trying again")
            loop.wait_until_said("run finished", source="csv")
            loop.end()

    first, second, *_ = read_runs(engine)
    committed = batch - 1 + LANDED[cut]
    records = sum([125, 125, 125, 125, 100][:committed])
    lost = loop.said("the connection was lost")
    told = loop.said("an earlier run was interrupted")
    assert relay.cut.is_set()
    assert away["seconds"] == 1
    assert [line["committed_before"] for line in lost] == [125 * (batch - 1)]
    assert [(line["batches"], line["records"]) for line in told] == [(committed, records)]
    assert (first.outcome, first.reason, first.batches) == ("failed", "interrupted", committed)
    assert f"the {records} records of {committed} batches" in first.error
    assert (second.source, second.outcome) == ("coingecko", "succeeded")
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)


THE_LAST_BATCH = BEFORE_THE_FIRST_BATCH + BATCHES


@pytest.mark.parametrize(
    ("commit", "cut"),
    [
        pytest.param(1, Cut.BEFORE_IT_ARRIVES, id="crosswalk not read"),
        pytest.param(2, Cut.BEFORE_THE_ANSWER, id="locked"),
        pytest.param(4, Cut.BEFORE_THE_ANSWER, id="partitions made"),
        pytest.param(6, Cut.BEFORE_IT_ARRIVES, id="partitions not made"),
        pytest.param(7, Cut.BEFORE_THE_ANSWER, id="opened"),
        pytest.param(7, Cut.BEFORE_IT_ARRIVES, id="not opened"),
        pytest.param(THE_LAST_BATCH + 1, Cut.BEFORE_THE_ANSWER, id="closed"),
        pytest.param(THE_LAST_BATCH + 1, Cut.BEFORE_IT_ARRIVES, id="not closed"),
        pytest.param(THE_LAST_BATCH + 2, Cut.BEFORE_IT_ARRIVES, id="not unlocked"),
    ],
)
def test_cut_off_at_any_other_commit_of_a_run_the_loop_goes_on(
    engine: Engine,
    database_url: URL,
    tmp_path: Path,
    unbroken: Report,
    cut: Cut,
    commit: int,
):
    with Upstream(assets=SIZE) as upstream, Relay(database_url) as relay:
        relay.cut_at(commit, cut)
        env = environ(relay.url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)

        with Loop(env, tmp_path) as loop:
            loop.wait_until_said("the database is away; trying again")
            loop.wait_until_said("run finished", source="csv")
            loop.end()

    assert relay.cut.is_set()
    assert {row.outcome for row in read_runs(engine)} <= {"succeeded", "failed"}
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)


@pytest.mark.parametrize("cut", LANDED)
def test_cut_off_at_a_commit_one_pass_exits_with_1_and_the_next_completes(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report, cut: Cut
):
    with Upstream(assets=SIZE) as upstream, Relay(database_url) as relay:
        relay.cut_at(BEFORE_THE_FIRST_BATCH + 2, cut)
        env = environ(relay.url, upstream, BATCH_SIZE=BATCH_SIZE)

        broken = run_worker("run --once --source coingecko", env, tmp_path)
        whole = run_worker("run --once", env, tmp_path)

    assert broken.returncode == 1
    assert "Error: database: server closed the connection unexpectedly" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert whole.returncode == 0, whole.stderr
    committed = 1 + LANDED[cut]
    assert f'"batches":{committed},"records":{125 * committed}' in whole.stderr
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)


def test_a_commit_still_under_way_keeps_the_source_locked_until_it_is_known(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(assets=SIZE) as upstream, Relay(database_url) as relay:
        relay.cut_at(BEFORE_THE_FIRST_BATCH + 2, Cut.WHILE_IT_TRAVELS)
        env = environ(relay.url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)

        with Loop(env, tmp_path, interval=1) as loop:
            locked = loop.wait_until_said("source is locked", source="coingecko")
            assert [row.batches for row in read_runs(engine) if row.source == "coingecko"] == [1]
            relay.release.set()
            told = loop.wait_until_said("an earlier run was interrupted")
            loop.wait_until_said("run finished", source="coingecko", outcome="succeeded")
            loop.wait_until_said("run finished", source="csv")
            loop.end()

    assert "locked by worker run 1 on host" in locked["error"]
    assert (told["batches"], told["records"]) == (2, 250)
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)


def test_a_connection_terminated_in_the_middle_of_a_statement_does_not_end_the_loop(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(assets=SIZE) as upstream, engine.connect() as blocker:
        env = environ(database_url, upstream, SOURCES="coinpaprika,coingecko,csv")
        blocker.exec_driver_sql("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
        with Loop(env, tmp_path) as loop:
            wait_until_blocked(engine)
            assert terminate_the_blocked(engine) == 1
            away = loop.wait_until_said("the database is away")
            assert loop.said("the connection was lost", committed_before=0)
            blocker.rollback()
            loop.wait_until_said("run finished", source="csv")
            loop.end()

    assert away["error"].startswith("database: ")
    first, *others = read_runs(engine)
    assert (first.reason, first.records_fetched) == ("interrupted", 0)
    assert {row.outcome for row in others} == {"succeeded"}
    assert_same(engine, unbroken)


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
        Upstream(assets=SIZE) as upstream,
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
            loop.wait_until_said("the database is away")
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
            times = len(loop.said("the database is away"))
            loop.wait_until_said("the database is away", times=times + 1)
            users.enter_context(again.running())

            loop.wait_until_said("run finished", source="csv")
            loop.end()

        away = [line["seconds"] for line in loop.said("the database is away")]
        told = loop.said("an earlier run was interrupted")
        assert away == [min(2**n, 60) for n in range(len(away))]
        assert [line["batches"] for line in told] == [2, 0]
        assert [row.outcome for row in read_runs(engine)] == ["failed"] * 2 + ["succeeded"] * 3
        assert_each_once(engine, "coingecko")
        assert_same(engine, unbroken)


def with_options(url: URL, options: str) -> URL:
    return url.update_query_dict({"options": options})


def test_a_worker_killed_while_its_statement_waits_gives_the_source_back_before_that_ends(
    engine: Engine, database_url: URL, tmp_path: Path
):
    held_by_a_worker = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with Upstream(assets=SIZE) as upstream, engine.connect() as blocker:
        env = environ(with_options(database_url, "-c lock_timeout=1h"), upstream)
        blocker.exec_driver_sql("LOCK TABLE assets IN ACCESS EXCLUSIVE MODE")
        with start_worker("run --once --source coingecko", env, tmp_path) as worker:
            wait_until_blocked(engine)
            worker.kill()
            worker.communicate()

        def is_free() -> bool:
            return blocker.exec_driver_sql(held_by_a_worker).scalar() == 0

        wait_until(is_free, "the dead worker's session kept its lock")
        blocker.rollback()
    assert verify(engine).findings == ()
    assert count_by_run(engine, "raw_coingecko") == {}


TIMEOUTS = {
    "lock_timeout": (
        "-c lock_timeout=300ms",
        "canceling statement due to lock timeout",
        "another session holds a lock that is needed here",
    ),
    "statement_timeout": (
        "-c statement_timeout=700ms",
        "canceling statement due to statement timeout",
        "raise the database's statement_timeout or lower BATCH_SIZE",
    ),
}


@pytest.mark.parametrize("reason", TIMEOUTS)
def test_a_timeout_fails_the_run_with_its_reason_and_not_the_other_sources(
    engine: Engine,
    database_url: URL,
    tmp_path: Path,
    unbroken: Report,
    reason: str,
):
    option, words, advice = TIMEOUTS[reason]
    with Upstream(assets=SIZE) as upstream, engine.connect() as blocker:
        env = environ(with_options(database_url, option), upstream, BATCH_SIZE=BATCH_SIZE)
        blocker.exec_driver_sql("LOCK TABLE raw_coingecko IN ACCESS EXCLUSIVE MODE")
        ran = run_worker("run --once", env, tmp_path)
        blocker.rollback()

        assert ran.returncode == 1
        assert f"({reason}: coingecko: {words}" in ran.stdout
        assert advice in ran.stdout
        by_source = {row.source: row for row in read_runs(engine)}
        failed = by_source.pop("coingecko")
        assert (failed.outcome, failed.reason, failed.batches) == ("failed", reason, 0)
        assert {row.outcome for row in by_source.values()} == {"succeeded"}
        assert verify(engine).counted["raw_coingecko"] == 0

        whole = run_worker("run --once", environ(database_url, upstream), tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert_same(engine, unbroken)


def test_a_run_that_cannot_even_be_recorded_is_said_and_the_loop_goes_on(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(assets=SIZE) as upstream, engine.connect() as blocker:
        env = environ(with_options(database_url, "-c lock_timeout=100ms"), upstream)
        blocker.exec_driver_sql("LOCK TABLE checkpoints IN ACCESS EXCLUSIVE MODE")

        once = run_worker("run --once --source csv", env, tmp_path)
        with Loop(env, tmp_path, interval=1) as loop:
            for source in ("coinpaprika", "coingecko", "csv"):
                said = loop.wait_until_said("the run could not be recorded", source=source)
                assert said["reason"] == "lock_timeout"
            blocker.rollback()
            for source in ("coinpaprika", "coingecko", "csv"):
                loop.wait_until_said("run finished", source=source, outcome="succeeded")
            loop.end()

    assert once.returncode == 1
    assert "Error: database: canceling statement due to lock timeout" in once.stderr
    assert "Traceback" not in once.stderr
    assert_same(engine, unbroken)


def test_a_run_that_cannot_be_judged_at_its_end_is_recorded_as_failed(
    engine: Engine, database_url: URL, tmp_path: Path, unbroken: Report
):
    with Upstream(assets=SIZE) as upstream, engine.connect() as blocker:
        env = environ(with_options(database_url, "-c lock_timeout=300ms"), upstream)
        release = threading.Event()
        upstream.answers(held(release), page=3)
        with start_worker("run --once --source coingecko", env, tmp_path) as worker:
            upstream.wait_until_asked(3)
            blocker.exec_driver_sql("LOCK TABLE drift IN ACCESS EXCLUSIVE MODE")
            release.set()
            out, err = worker.communicate(timeout=SECONDS)
        blocker.rollback()

        assert worker.returncode == 1, err
        assert "coingecko: run 1 failed (lock_timeout: coingecko: canceling statement" in out
        assert [(row.outcome, row.records_new) for row in read_runs(engine)] == [("failed", SIZE)]
        whole = run_worker("run --once", env, tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert_each_once(engine, "coingecko")
    assert_same(engine, unbroken)


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
        said = loop.wait_until_said("the worker no longer fits its surroundings")
        refused = run_worker("run --interval 1", env, tmp_path)
        done = len(loop.said("run finished"))
        set_revision(SCHEMA_REVISION)
        loop.wait_until_said("run finished", times=done + 1)
        loop.end()

    assert "schema is at revision '9999'" in said["error"]
    assert refused.returncode == 2
    assert "schema is at revision '9999'" in refused.stderr


def test_a_server_without_a_free_connection_is_waited_for(
    engine: Engine, database_url: URL, maintenance_engine: Engine, tmp_path: Path, unbroken: Report
):
    with maintenance_engine.connect() as conn:
        conn.execute(text(f"ALTER DATABASE {database_url.database} CONNECTION LIMIT 0"))
        conn.execute(text("CREATE ROLE ordinary LOGIN"))
        conn.execute(text("GRANT kasparro TO ordinary"))
    with Upstream(assets=SIZE) as upstream:
        env = environ(database_url.set(username="ordinary"), upstream)
        with Loop(env, tmp_path) as loop:
            away = loop.wait_until_said("the database is away", times=2)
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


@pytest.fixture
def small_disk(server, project: Path) -> Iterator[Path]:
    """A file system of 48 MiB that the server may write to."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file system")
    owner = server.data.stat()
    options = f"size=48m,mode=700,uid={owner.st_uid},gid={owner.st_gid}"
    disk = project / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "kasparro-test", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be made here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, *, leaving: int) -> Path:
    """Put a file on the disk that leaves so many bytes free; return it."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leaving)
    return ballast


@pytest.fixture
def database_on_the_small_disk(
    small_disk: Path, server, maintenance_engine: Engine, template_database: str
) -> Iterator[URL]:
    """A migrated database whose tables are on the small disk; the WAL is elsewhere."""
    with maintenance_engine.connect() as conn:
        conn.execute(text("CREATE TABLESPACE small LOCATION :disk"), {"disk": str(small_disk)})
        conn.execute(text(f"CREATE DATABASE small TEMPLATE {template_database} TABLESPACE small"))
    yield server.url.set(database="small")
    with maintenance_engine.connect() as conn:
        conn.execute(text("DROP DATABASE small WITH (FORCE)"))
        conn.execute(text("DROP TABLESPACE small"))


def test_a_full_disk_fails_the_run_stores_nothing_in_part_and_is_gone_on_from(
    small_disk: Path, database_on_the_small_disk: URL, tmp_path: Path, unbroken: Report
):
    url = database_on_the_small_disk
    engine = create_engine(url, poolclass=NullPool)
    with Upstream(assets=SIZE) as upstream:
        env = environ(url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)
        release = threading.Event()
        upstream.answers(held(release), page=2)

        with Loop(env, tmp_path, interval=1) as loop:
            upstream.wait_until_asked(2)
            wait_until(lambda: read_runs(engine)[0].batches == 2, "page 1 was not committed")
            ballast = fill(small_disk, leaving=2**18)
            release.set()
            full = loop.wait_until_said("run finished", reason="disk_full")
            loop.wait_until_said("run finished", source="csv")
            stored = count_by_run(engine, "raw_coingecko")
            ballast.unlink()
            for source in ("coinpaprika", "coingecko", "csv"):
                loop.wait_until_said("run finished", source=source, outcome="succeeded")
            loop.end()

        assert "No space left on device" in full["error"]
        assert "free some space where the database keeps its data" in full["error"]
        first = read_runs(engine)[0]
        assert (first.outcome, first.reason) == ("failed", "disk_full")
        assert first.batches in {2, 3}
        assert stored == {first.id: first.records_new}
        assert_each_once(engine, "coingecko")
        assert_same(engine, unbroken)
