"""CSV files that change under the reader: nothing lost, nothing doubled, nothing wrong unsaid."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from shared.schema.market import listings, observations
from shared.schema.operations import rejects
from tests.fakes.cases import sparse
from tests.fakes.databases import database_copy, engine_on
from tests.fakes.processes import environ, run_worker
from worker.ingest import pipeline
from worker.ingest.runs.options import Options, Result
from worker.maintenance.verify import Report, verify
from worker.sources.csv import CsvFiles

HEADER = "id,symbol,name,price_usd,last_updated\n"
ROWS = 1000
BATCH = 100


def row(number: int, price: str = "1.5", at: str = "2026-01-02T12:00:00Z") -> str:
    return f"coin-{number},C{number},Coin {number} é,{price},{at}\n"


def rows(*numbers: int, **fields: str) -> bytes:
    return "".join(row(number, **fields) for number in numbers).encode()


def sheet(count: int, **fields: str) -> bytes:
    return HEADER.encode() + rows(*range(count), **fields)


class Folder:
    """One CSV file, and a database that it is loaded into again and again."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine = engine
        self.path = path

    def run(self, at_first_batch: Callable[[], object] | None = None) -> Result:
        """Run once; call `at_first_batch` once the first batch is committed."""
        waiting = [at_first_batch] if at_first_batch else []

        def progress(fetched: int) -> None:  # noqa: ARG001
            if waiting:
                waiting.pop()()

        source = CsvFiles(path=str(self.path), rows_per_page=BATCH)
        return pipeline.run(self.engine, source, None, Options(BATCH, progress=progress))

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def replace(self, data: bytes) -> None:
        """Put another file in its place, as who replaces files should."""
        new = self.path.with_suffix(".new")
        new.write_bytes(data)
        new.replace(self.path)

    def sound(self) -> Report:
        report = verify(self.engine)
        assert report.findings == ()
        return report

    def ids(self) -> set[str]:
        with self.engine.connect() as conn:
            return set(conn.scalars(select(listings.c.external_id)))

    def prices(self) -> set[str]:
        with self.engine.connect() as conn:
            return set(map(str, conn.scalars(select(listings.c.price_usd))))

    def count(self, table) -> int:
        with self.engine.connect() as conn:
            return len(conn.execute(select(table)).all())


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> Folder:
    return Folder(engine, tmp_path / "prices.csv")


@pytest.fixture
def at_once(server, maintenance_engine, template_database, folder: Folder) -> Iterator[Folder]:
    """The same file, and another database: what its loading in one go gives."""
    with (
        database_copy(maintenance_engine, server.url, template_database) as url,
        engine_on(url) as engine,
    ):
        yield Folder(engine, folder.path)


def assert_ends_as_read_at_once(folder: Folder, at_once: Folder) -> None:
    for each in (folder, folder, at_once, at_once):
        assert each.run().succeeded
    assert folder.sound() == at_once.sound()


def test_a_file_that_grows_between_runs_is_read_on(folder: Folder, at_once: Folder):
    folder.path.write_bytes(sheet(50))
    assert folder.run().counts.new == 50

    folder.append(rows(*range(50, 90)))
    result = folder.run()

    assert (result.counts.fetched, result.counts.new) == (40, 40)
    assert_ends_as_read_at_once(folder, at_once)


def test_a_file_that_grows_while_it_is_read_is_read_to_its_new_end_or_by_the_next_run(
    folder: Folder, at_once: Folder
):
    folder.path.write_bytes(sheet(ROWS))

    first = folder.run(lambda: folder.append(rows(*range(ROWS, ROWS + 50))))
    second = folder.run()

    assert first.succeeded
    assert second.succeeded
    assert first.counts.new + second.counts.new == ROWS + 50
    assert first.counts.unchanged + second.counts.unchanged == 0
    assert_ends_as_read_at_once(folder, at_once)


def test_a_file_that_shrinks_is_read_again_and_what_it_lost_is_history(folder: Folder):
    folder.path.write_bytes(sheet(50))
    folder.run()
    before = folder.sound()

    folder.path.write_bytes(sheet(30))
    result = folder.run()

    assert result.succeeded
    assert (result.counts.new, result.counts.unchanged) == (0, 30)
    assert folder.sound() == before


@pytest.mark.parametrize("how", ["renamed over", "rewritten"])
def test_another_file_of_the_same_size_and_time_is_read(folder: Folder, how: str):
    folder.path.write_bytes(sheet(50, price="1.5"))
    before = folder.path.stat()
    folder.run()

    other = sheet(50, price="2.5")
    folder.replace(other) if how == "renamed over" else folder.path.write_bytes(other)
    os.utime(folder.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = folder.path.stat()
    result = folder.run()

    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert (result.counts.fetched, result.counts.new) == (50, 50)
    assert folder.count(observations) == 100
    folder.sound()


@pytest.mark.slow
def test_a_file_replaced_by_another_while_it_is_read_is_read_whole_and_then_the_other(
    folder: Folder,
):
    folder.path.write_bytes(sheet(ROWS))
    later = sheet(ROWS + 5, price="2.5", at="2026-01-02T13:00:00Z")

    first = folder.run(lambda: folder.replace(later))
    second = folder.run()

    assert (first.counts.new, second.counts.new) == (ROWS, ROWS + 5)
    assert first.succeeded
    assert second.succeeded
    assert folder.prices() == {"2.5"}
    folder.sound()


@pytest.mark.slow
def test_a_file_overwritten_in_place_while_it_is_read_is_read_again(folder: Folder):
    folder.path.write_bytes(sheet(ROWS))
    later = sheet(ROWS, price="2.5", at="2026-01-02T13:00:00Z")

    def overwrite() -> None:
        with folder.path.open("r+b") as file:
            file.write(later)

    folder.run(overwrite)
    assert folder.run().succeeded

    assert folder.prices() == {"2.5"}
    folder.sound()


def test_a_file_cut_short_while_it_is_read_fails_the_run_and_is_read_again(
    folder: Folder, at_once: Folder
):
    whole = sheet(ROWS)
    folder.path.write_bytes(whole)

    result = folder.run(lambda: os.truncate(folder.path, len(whole) // 2))

    assert (result.ending.outcome, result.ending.reason) == ("failed", "cut_short")
    assert "rename it when it is complete" in str(result.ending.error)
    assert result.counts.fetched < ROWS
    folder.sound()

    folder.path.write_bytes(whole)
    assert_ends_as_read_at_once(folder, at_once)
    assert folder.count(rejects) == 0


def test_a_header_that_lost_what_is_needed_fails_the_run_and_says_what_to_declare(folder: Folder):
    folder.path.write_bytes(sheet(50))
    folder.run()
    before = folder.sound()

    folder.path.write_bytes(b"key" + sheet(60)[2:].replace(b"last_updated", b"seen", 1))
    for _ in range(2):
        result = folder.run()
        assert (result.ending.outcome, result.ending.reason) == ("failed", "undeclared")
        assert f"Write these lines to {folder.path}.toml" in str(result.ending.error)
    assert folder.sound() == before

    folder.path.write_bytes(sheet(60))
    healed = folder.run()
    assert (healed.ending.outcome, healed.counts.new) == ("succeeded", 10)


def test_a_header_with_a_further_column_makes_every_row_a_revision(folder: Folder):
    folder.path.write_bytes(sheet(50))
    folder.run()

    folder.path.write_bytes(sheet(50).replace(b"\n", b",note\n"))
    result = folder.run()

    assert result.succeeded
    assert result.counts.new == 50
    assert folder.count(observations) == 100
    assert len(folder.ids()) == 50
    folder.sound()


ENDS = {
    "half-a-line": (row(50)[:12].encode(), row(50)[12:].encode(), "cells under 5 headers"),
    "half-a-character": (
        row(50).encode().partition(b"\xa9")[0],
        b"\xa9" + row(50).encode().partition(b"\xa9")[2],
        "not utf-8",
    ),
    "half-a-quote": (b'coin-50,C50,"Coin, ', b'the 50th",1,2026-01-02T12:00:00Z\n', None),
}


@pytest.mark.parametrize("end", sparse(ENDS, 3))
def test_a_file_that_ends_in_half_waits_says_so_and_is_read_on_once_it_is_whole(
    folder: Folder, at_once: Folder, end: str
):
    half, rest, why = ENDS[end]
    folder.path.write_bytes(sheet(50) + half)

    first = folder.run()
    assert (first.ending.outcome, first.counts.new, first.counts.rejected) == ("succeeded", 50, 0)
    for _ in range(2):
        settled = folder.run()
        assert (settled.ending.outcome, settled.ending.reason) == ("partial", "unfinished_row")
        assert "line 52: the last row is incomplete" in str(settled.ending.error)
        assert (why or "not CSV") in str(settled.ending.error)
        advice = "Complete the row and end it with a newline, or remove it"
        assert advice in str(settled.ending.error)
        assert settled.counts.fetched == 0

    folder.append(rest + rows(51))
    healed = folder.run()
    assert healed.succeeded
    assert (healed.counts.new, healed.counts.rejected) == (2, 0)
    assert_ends_as_read_at_once(folder, at_once)


def test_a_file_that_ends_in_nuls_says_so_and_costs_one_line(folder: Folder, at_once: Folder):
    folder.path.write_bytes(sheet(50) + b"\0" * 100)

    assert folder.run().counts.new == 50
    settled = folder.run()
    assert (settled.ending.outcome, settled.ending.reason) == ("partial", "unfinished_row")
    assert "U+0000" in str(settled.ending.error)

    folder.append(rows(50, 51))
    healed = folder.run()
    assert (healed.counts.new, healed.counts.rejected) == (1, 1)
    with folder.engine.connect() as conn:
        refused = conn.execute(select(rejects)).one()
    assert bytes(refused.payload) == b"\0" * 100 + rows(50)
    assert folder.ids() == {f"coin-{number}" for number in range(52) if number != 50}

    folder.path.write_bytes(sheet(52))
    assert folder.run().counts.new == 1
    assert folder.run().succeeded
    at_once.run()
    assert folder.ids() == at_once.ids()
    folder.sound()


def test_an_emptied_file_is_no_success_once_it_has_settled(folder: Folder, at_once: Folder):
    folder.path.write_bytes(sheet(50))
    folder.run()
    before = folder.sound()

    folder.path.write_bytes(b"")
    folder.run()
    for _ in range(2):
        result = folder.run()
        assert (result.ending.outcome, result.ending.reason) == ("failed", "no_header")
        assert "is empty" in str(result.ending.error)
    assert folder.sound() == before

    folder.path.write_bytes(sheet(50))
    assert_ends_as_read_at_once(folder, at_once)


def test_a_file_that_is_gone_fails_the_run_and_is_not_read_again_when_it_is_back(folder: Folder):
    folder.path.write_bytes(sheet(50))
    folder.run()
    away = folder.path.rename(folder.path.with_suffix(".away"))

    result = folder.run()
    away.rename(folder.path)

    assert (result.ending.outcome, result.ending.reason) == ("failed", "no_file")
    assert "expected a file, a folder with *.csv files, or a glob" in str(result.ending.error)
    back = folder.run()
    assert (back.ending.outcome, back.counts.fetched) == ("succeeded", 0)


def test_a_worker_killed_while_the_file_grows_loses_and_doubles_nothing(
    folder: Folder, at_once: Folder, database_url: URL, tmp_path: Path
):
    folder.path.write_bytes(sheet(200))
    env = environ(database_url, CSV_PATH=folder.path, BATCH_SIZE=20)
    for batch in range(1, 4):
        fault = {**env, "FAULT": f"before_commit:{batch}"}
        killed = run_worker("run --once --source csv", fault, tmp_path)
        assert killed.returncode == -9, killed.stderr
        folder.append(rows(*range(200 + batch * 10, 210 + batch * 10)))

    assert run_worker("run --once --source csv", env, tmp_path).returncode == 0
    assert_ends_as_read_at_once(folder, at_once)
    assert folder.count(observations) == 230
