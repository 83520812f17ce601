"""The server's disk is full: the run fails, stores nothing in part, and is resumed."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, delete, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.schema.operations import runs
from tests.fakes.answers import held
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
    wait_until,
)
from tests.fakes.upstream import Upstream
from tests.fakes.worker_loop import Loop
from worker.maintenance.verify import Report

FILL_RUNS = text("""
INSERT INTO runs (source, command, outcome, host, pid, finished_at)
VALUES ('csv', 'run', 'succeeded', 'host', 1, now()), ('csv', 'run', 'failed', 'host', 1, now())
""")
"""The first row of a kind needs a new page in its index, for which a full disk has no room."""


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
    url = server.url.set(database="small")
    with create_engine(url, poolclass=NullPool).begin() as conn:
        conn.execute(FILL_RUNS)
        conn.execute(delete(runs))
    yield url
    with maintenance_engine.connect() as conn:
        conn.execute(text("DROP DATABASE small WITH (FORCE)"))
        conn.execute(text("DROP TABLESPACE small"))


def test_a_full_disk_fails_the_run_stores_nothing_in_part_and_is_gone_on_from(
    small_disk: Path, database_on_the_small_disk: URL, tmp_path: Path, unbroken: Report
):
    url = database_on_the_small_disk
    engine = create_engine(url, poolclass=NullPool)
    with Upstream(SIZE, page_cap=PAGE) as upstream:
        env = environ(url, upstream, BATCH_SIZE=BATCH_SIZE, SOURCES=COINGECKO_FIRST)
        release = threading.Event()
        upstream.answers(held(release), page=2)

        with Loop(env, tmp_path, interval=1) as loop:
            upstream.wait_until_asked(2)
            wait_until(lambda: read_runs(engine)[0].batches == 2, "page 1 was not committed")
            ballast = fill(small_disk, leaving=2**18)
            release.set()
            full = loop.wait_until_said("run finished", reason="disk_full")
            wait_until(lambda: loop.said("", source="csv", reason="disk_full"), "csv had its turn")
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
