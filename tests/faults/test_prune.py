import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow
import pytest
from pyarrow.parquet import write_table
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.engine import URL

from shared.schema.market import listings, observations
from shared.schema.raw import RAW, pruned_partitions, pruned_runs
from tests.fakes.batches import COINGECKO, load, market
from tests.fakes.cases import sparse
from tests.fakes.processes import environ, run_worker
from tests.fakes.retention import SINCE_2020, retention_from
from worker.maintenance.prune.archive import read_archive
from worker.maintenance.prune.records import prune as prune_source
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

OLD = "2019-07-01T12:00:00Z"
OLDER = "2018-07-01T12:00:00Z"
AWKWARD = "1.2300000000000000000000000000000000000000000000000012345E-7"


def bitcoin(at: str, price: Any = 1) -> bytes:
    return market("bitcoin", "btc", "Bitcoin", price, at=at)


def gone_quiet(at: str) -> bytes:
    return market("quiet", "qt", "Quiet \\u00e9\U0001f600", AWKWARD, at=at)


@pytest.fixture
def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def loaded(engine: Engine, now: str) -> list[tuple[Any, ...]]:
    """Old records and new ones, of two runs; and the raw records as they are stored."""
    load(engine, COINGECKO, bitcoin(OLDER), bitcoin(OLD), bitcoin(OLD, 2), gone_quiet(OLD))
    load(engine, COINGECKO, bitcoin(OLD, 3), bitcoin(now))
    return stored(engine)


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    raw = "external_id, observed_at, payload_hash, run_id, ingested_at, payload::text"
    stmt = text(f"SELECT {raw} FROM raw_coingecko ORDER BY observed_at, external_id, payload_hash")
    with engine.connect() as conn:
        return [(*row[:2], bytes(row[2]), *row[3:]) for row in conn.execute(stmt)]


def rows(engine: Engine, table: Any) -> list[Any]:
    with engine.connect() as conn:
        return sorted(map(str, conn.execute(select(table)).all()))


class Prune:
    def __init__(self, url: URL, folder: Path) -> None:
        self.url, self.folder = url, folder

    def __call__(self, options: str, code: int = 0, **env: str) -> Any:
        days = retention_from(SINCE_2020).days
        env = environ(self.url, **{"RAW_RETENTION_DAYS": str(days), **env})
        ran = run_worker(f"prune {options}", env, self.folder)
        assert ran.returncode == code, ran.stderr
        return ran


@pytest.fixture
def prune(database_url: URL, tmp_path: Path) -> Iterator[Prune]:
    return Prune(database_url, tmp_path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def test_without_a_retention_everything_is_kept(engine: Engine, loaded: Any, prune: Prune):
    said = prune("--yes --drop", RAW_RETENTION_DAYS="").stdout

    assert said.startswith("RAW_RETENTION_DAYS is not set: raw records are kept forever\n")
    assert stored(engine) == loaded


def test_without_yes_it_only_shows_what_would_be_deleted(engine: Engine, loaded: Any, prune: Prune):
    said = prune("--source coingecko").stdout.splitlines()

    assert "coingecko: raw_coingecko_2018, 1 raw records, " in said[0]
    assert said[0].endswith(
        "observed from 2018-07-01T12:00:00Z to 2018-07-01T12:00:00Z: would be deleted"
    )
    assert "coingecko: raw_coingecko_2019, 4 raw records, " in said[1]
    assert said[-1] == ("nothing was changed; to delete, add --yes and --archive FOLDER or --drop")
    assert stored(engine) == loaded


def test_a_partition_that_is_only_partly_old_is_kept(engine: Engine, loaded: list[tuple[Any, ...]]):
    retention = retention_from(datetime(2019, 9, 1, tzinfo=UTC))

    pruned = list(prune_source(engine, "coingecko", retention, None))

    assert [each.partition.name for each in pruned] == ["raw_coingecko_2018"]
    assert stored(engine) == loaded[1:]


def test_yes_needs_either_archive_or_drop(prune: Prune):
    assert "--archive FOLDER or --drop" in prune("--yes", code=2).stderr
    assert "use one of them" in prune("--yes --drop --archive a", code=2).stderr


def test_the_archive_has_every_byte_of_the_deleted_records(
    engine: Engine, loaded: list[tuple[Any, ...]], prune: Prune, archive: Path
):
    observed, shown = rows(engine, observations), rows(engine, listings)

    prune(f"--yes --archive {archive}")

    files = [archive / "raw_coingecko_2018.parquet", archive / "raw_coingecko_2019.parquet"]
    assert sorted(archive.iterdir()) == files
    assert [row for file in files for row in read_archive(file)] == loaded[:5]
    assert stored(engine) == loaded[5:]
    assert (rows(engine, observations), rows(engine, listings)) == (observed, shown)
    with engine.connect() as conn:
        noted = conn.execute(select(pruned_partitions).order_by(pruned_partitions.c.id)).all()
        by_run = conn.execute(select(pruned_runs)).all()
    assert [(row.source, row.partition, row.records) for row in noted] == [
        ("coingecko", "raw_coingecko_2018", 1),
        ("coingecko", "raw_coingecko_2019", 4),
    ]
    assert [(row.observed_from.year, row.observed_until.year) for row in noted] == [
        (2018, 2019),
        (2019, 2020),
    ]
    assert [(row.archive, bytes(row.digest)) for row in noted] == [
        (str(file), sha256(file.read_bytes()).digest()) for file in files
    ]
    assert sorted(row.records for row in by_run) == [1, 1, 3]


@pytest.mark.parametrize("how", sparse(["--archive archive", "--drop"], 2))
def test_after_pruning_nothing_is_new_again_and_nothing_is_lost(
    engine: Engine, loaded: Any, prune: Prune, how: str, now: str
):
    observed, shown = rows(engine, observations), rows(engine, listings)
    prune(f"--yes {how}")
    assert not verify(engine, [COINGECKO]).findings

    of_an_instant = (bitcoin(OLD), bitcoin(OLD, 2), bitcoin(OLD, 3))
    again = load(engine, COINGECKO, *of_an_instant, gone_quiet(OLD), bitcoin(now))
    assert (again.new, again.unchanged, again.revised) == (0, 5, 0)
    assert stored(engine) == loaded[5:]

    reprocess(engine, COINGECKO)
    assert (rows(engine, observations), rows(engine, listings)) == (observed, shown)
    assert not verify(engine, [COINGECKO]).findings


@pytest.mark.slow
@pytest.mark.usefixtures("loaded")
def test_new_records_of_a_pruned_time_are_loaded_and_archived_in_a_second_file(
    engine: Engine, prune: Prune, archive: Path
):
    prune(f"--yes --archive {archive}")
    late = load(engine, COINGECKO, bitcoin(OLD), bitcoin(OLD, 9))
    assert (late.new, late.unchanged) == (1, 1)
    assert not verify(engine, [COINGECKO]).findings

    prune(f"--yes --archive {archive}")

    second = list(read_archive(archive / "raw_coingecko_2019.2.parquet"))
    assert [row[0] for row in second] == ["bitcoin"]
    assert '"current_price": 9' in second[0][5]
    assert len(list(read_archive(archive / "raw_coingecko_2019.parquet"))) == 4
    assert not verify(engine, [COINGECKO]).findings
    assert load(engine, COINGECKO, bitcoin(OLD), bitcoin(OLD, 9)).unchanged == 2


def test_killed_before_the_drop_nothing_is_lost_and_the_next_call_continues(
    engine: Engine, loaded: Any, prune: Prune, archive: Path
):
    prune(f"--yes --archive {archive}", code=-signal.SIGKILL, FAULT="before_drop:2")
    assert stored(engine) == loaded[1:]  # the first partition was done with
    assert len(list(read_archive(archive / "raw_coingecko_2019.parquet"))) == 4
    assert not verify(engine, [COINGECKO]).findings

    prune(f"--yes --archive {archive}")

    assert stored(engine) == loaded[5:]
    assert [file.name for file in sorted(archive.iterdir())] == [
        "raw_coingecko_2018.parquet",
        "raw_coingecko_2019.parquet",
    ]
    assert not verify(engine, [COINGECKO]).findings


@pytest.mark.usefixtures("loaded")
def test_records_that_cannot_be_archived_are_kept(engine: Engine, prune: Prune, archive: Path):
    with engine.begin() as conn:
        conn.execute(text("UPDATE raw_coingecko SET payload = '{}' WHERE external_id = 'quiet'"))
    damaged = stored(engine)

    refused = prune(f"--yes --archive {archive}", code=1)

    assert "Error: raw_coingecko_2019: not archived: the records read back differ" in refused.stderr
    assert stored(engine) == damaged[1:]
    assert [file.name for file in archive.iterdir()] == ["raw_coingecko_2018.parquet"]


@pytest.mark.parametrize(
    "held", sparse(["another table", "", "nothing of ours", "PAR1 broken off PAR1"], 4)
)
def test_a_file_that_is_not_an_archive_is_not_overwritten(
    engine: Engine, loaded: Any, prune: Prune, archive: Path, held: str
):
    archive.mkdir()
    other = archive / "raw_coingecko_2019.parquet"
    if held == "another table":
        write_table(pyarrow.table({"external_id": ["a"]}), other)
    else:
        other.write_text(held)
    before = other.read_bytes()

    prune(f"--yes --archive {archive}")

    assert other.read_bytes() == before
    assert len(list(read_archive(archive / "raw_coingecko_2019.2.parquet"))) == 4
    assert stored(engine) == loaded[5:]


@pytest.mark.usefixtures("loaded")
def test_a_folder_that_cannot_be_written_is_named(prune: Prune, archive: Path):
    archive.write_text("a file")

    assert str(archive) in prune(f"--yes --archive {archive}/in/it", code=1).stderr


@pytest.mark.usefixtures("loaded")
def test_a_lost_raw_record_of_another_time_is_still_found(engine: Engine, prune: Prune):
    prune("--yes --drop")
    load(engine, COINGECKO, bitcoin(OLD, 9))
    with engine.begin() as conn:
        conn.execute(text("DELETE FROM raw_coingecko WHERE payload @> '{\"current_price\": 9}'"))

    checks = {finding.check for finding in verify(engine).findings}

    assert "observations_have_their_raw (coingecko)" in checks
    assert "runs_stored_what_they_counted (coingecko)" in checks


@pytest.mark.slow
@pytest.mark.usefixtures("loaded")
def test_a_long_reader_delays_the_drop_but_blocks_no_other_readers(
    engine: Engine, database_url: URL
):
    pruned: list[str] = []

    def work() -> None:
        own = create_engine(database_url)
        gone = prune_source(own, "coingecko", retention_from(SINCE_2020), None)
        pruned.extend(each.partition.name for each in gone)
        own.dispose()

    with engine.connect() as reader:
        reader.execute(select(RAW["coingecko"])).all()
        worker = Thread(target=work)
        worker.start()
        with engine.connect() as watch, engine.connect() as other:
            asked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not watch.scalar(asked):
                watch.rollback()
            other.execute(text("SET statement_timeout = '5s'"))
            assert len(other.execute(select(RAW["coingecko"])).all()) == 6
        assert worker.is_alive()
        assert not pruned
    worker.join(30)

    assert pruned == ["raw_coingecko_2018", "raw_coingecko_2019"]


@pytest.mark.slow
@pytest.mark.usefixtures("loaded")
def test_verify_finds_no_damage_where_a_partition_is_pruned_beside_it(
    engine: Engine, database_url: URL
):
    found: list[Any] = []
    pruned: list[str] = []

    def check() -> None:
        found.append(verify(engine).findings)

    def work() -> None:
        own = create_engine(database_url)
        gone = prune_source(own, "coingecko", retention_from(SINCE_2020), None)
        pruned.extend(each.partition.name for each in gone)
        own.dispose()

    checker, worker = Thread(target=check), Thread(target=work)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with engine.connect() as holder, engine.connect() as watch:
        holder.execute(text("LOCK TABLE listings IN ACCESS EXCLUSIVE MODE"))
        checker.start()
        while not watch.scalar(waiting):
            watch.rollback()
        worker.start()
        while len(pruned) < 2 and watch.scalar(waiting) < 2:
            watch.rollback()
    checker.join(30)
    worker.join(30)

    assert found == [()]
    assert pruned == ["raw_coingecko_2018", "raw_coingecko_2019"]
