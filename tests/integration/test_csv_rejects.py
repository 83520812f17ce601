"""Files with too many rows that are refused: until when their runs fail, and what ends it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from worker.ingest import pipeline
from worker.ingest.batch.rejects import OpenRejects, dismiss
from worker.ingest.runs.options import Options, Result
from worker.maintenance.verify import verify
from worker.sources.base import Source
from worker.sources.csv import CsvFiles

HEADER = "date,symbol,name,price,currency"
DOLLARS = "2022-01-04,BTC,Bitcoin,46458.12,USD"
EUROS = "2022-01-04,BTC,Bitcoin,41150.90,EUR"


class Desk:
    """A person with a folder that the loop reads, and one that only imports are made of."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.write(DOLLARS, EUROS, EUROS)
        self.write("2022-01-05,ETH,Ethereum,3000,USD", file="good.csv")

    def write(self, *rows: str, file: str = "prices.csv") -> Path:
        path = self.folder / file
        path.write_text("\n".join([HEADER, *rows, ""]))
        return path

    def run(self) -> Result:
        source = CsvFiles(path=str(self.folder / ".." / self.folder.name), rows_per_page=2)
        return pipeline.run(self.engine, source, None, Options(2))

    def load(self, file: str = "prices.csv") -> Result:
        source = CsvFiles(path="unused", rows_per_page=2)

        def pages(source: Source) -> Any:
            yield from source.saved_pages(self.folder / file)

        return pipeline.load_saved(self.engine, source, pages, Options(2))

    def dismiss(self) -> int:
        with self.engine.begin() as conn:
            return dismiss(conn, OpenRejects(source="csv"), "prices in euros", "ann")

    def correct(self) -> None:
        self.write(DOLLARS)

    def take_away(self) -> None:
        (self.folder / "prices.csv").unlink()


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    return Desk(engine, tmp_path)


def test_a_folder_stays_failed_while_its_rows_are_refused_and_says_what_ends_it(desk: Desk):
    first, second, third = desk.run(), desk.run(), desk.run()

    for result in (first, second, third):
        assert (result.ending.outcome, result.ending.reason) == ("failed", "too_many_rejects")
        error = str(result.ending.error)
        assert "Correct the file, or complete its declaration" in error
        assert "`worker rejects dismiss --source csv --reason TEXT`" in error
        assert "checkpoint clear" not in error
        assert "drift" not in error
    assert (first.counts.fetched, third.counts.fetched) == (4, 0)


@pytest.mark.parametrize("ends", [Desk.correct, Desk.take_away, Desk.dismiss])
def test_a_folder_is_good_again_once_its_rows_are_settled(
    desk: Desk, ends: Callable[[Desk], object]
):
    desk.run()
    assert not desk.run().succeeded
    ends(desk)

    assert desk.run().succeeded
    assert desk.run().succeeded
    assert verify(desk.engine).findings == ()


def test_rejects_of_a_file_that_was_corrected_do_not_fail_another_one(desk: Desk):
    desk.run()
    desk.correct()
    assert desk.run().succeeded
    desk.write(EUROS.replace("BTC", "XBT"), file="other.csv")
    assert not desk.run().succeeded
    (desk.folder / "other.csv").unlink()

    assert desk.run().succeeded


def test_rejects_of_an_import_do_not_fail_the_loop(desk: Desk):
    desk.run()
    desk.take_away()
    desk.write(EUROS.replace("04", "07"), file="elsewhere.txt")
    assert not desk.load("elsewhere.txt").succeeded

    assert desk.run().succeeded


def test_dismissed_rows_do_not_count_when_they_come_again(desk: Desk):
    assert desk.load().ending.reason == "too_many_rejects"
    assert desk.dismiss() == 1

    again = desk.load()

    assert again.succeeded
    assert (again.counts.fetched, again.counts.unchanged) == (3, 1)
    assert (again.counts.rejected, again.counts.dismissed) == (2, 2)
    assert desk.dismiss() == 0
    assert verify(desk.engine).findings == ()


def test_rows_that_were_not_dismissed_count_beside_those_that_were(desk: Desk):
    desk.load()
    desk.dismiss()
    desk.write(DOLLARS, EUROS, EUROS, EUROS.replace("EUR", "GBP"))

    again = desk.load()

    assert again.ending.reason == "too_many_rejects"
    assert "csv: 1 of 4 records were rejected" in str(again.ending.error)
