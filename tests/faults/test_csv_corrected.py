"""CSV files that are corrected, renamed or removed after a run of the loop was cut off in them."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from worker.ingest import pipeline
from worker.ingest.faults import Faults
from worker.ingest.runs.options import Options, Result
from worker.sources.csv import CsvFiles

HEADER = "symbol,name,date,price_usd\n"
DAYS = range(1, 25)


def sheet(symbol: str = "BTC", **prices: object) -> str:
    """A row for each day; `d4` is the price of the fourth."""
    rows = [f"{symbol},{symbol} Coin,2024-05-{day:02},{prices.get(f'd{day}', day)}" for day in DAYS]
    return HEADER + "\n".join(rows) + "\n"


class Folder:
    """A folder of CSV files, read five rows at a time; a run can be `cut_off` after some rows."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine = engine
        self.path = path

    def write(self, text: str, file: str = "a.csv") -> None:
        (self.path / file).write_text(text)

    def run(self, cut_off: int | None = None) -> Result:
        source = CsvFiles(path=str(self.path), rows_per_page=5)
        options = Options(5, faults=Faults(fail_after=cut_off))
        result = pipeline.run(self.engine, source, None, options)
        assert (result.ending.reason == "injected_failure") == (cut_off is not None)
        return result


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> Folder:
    return Folder(engine, tmp_path)


def test_a_file_that_was_corrected_after_a_run_was_cut_off_does_not_differ(folder: Folder):
    folder.write(sheet())
    folder.run(cut_off=12)

    folder.write(sheet(d4="400.25"))

    result = folder.run()
    assert (result.ending.outcome, result.counts.new, result.counts.revised) == ("succeeded", 15, 1)


def test_nor_does_one_whose_corrected_rows_were_read_by_a_run_that_was_cut_off_too(folder: Folder):
    folder.write(sheet())
    folder.run(cut_off=12)
    folder.write(sheet(d4="400.25"))
    folder.run(cut_off=17)

    result = folder.run()

    assert (result.ending.outcome, result.counts.new) == ("succeeded", 9)


def test_nor_does_one_that_was_read_to_its_end_before_the_next_one_was_cut_off(folder: Folder):
    folder.write(sheet())
    folder.run(cut_off=12)
    folder.write(sheet(d4="400.25"))
    folder.write(sheet("ETH"), "b.csv")
    folder.run(cut_off=30)

    assert folder.run().ending.outcome == "succeeded"


@pytest.mark.slow
def test_nor_does_one_in_the_place_of_another_that_is_gone(folder: Folder):
    folder.write(sheet())
    folder.run(cut_off=12)
    (folder.path / "a.csv").unlink()
    folder.write(sheet(d4="400.25"), "b.csv")

    assert folder.run().ending.outcome == "succeeded"


def test_rejects_of_the_rows_before_the_correction_do_not_count(folder: Folder):
    folder.write(sheet(**{f"d{day}": "much" for day in range(6, 13)}))
    folder.run(cut_off=12)

    folder.write(sheet())

    assert folder.run().ending.outcome == "succeeded"


def test_rows_before_and_after_a_cut_that_differ_are_found_in_a_corrected_file_too(folder: Folder):
    folder.write(sheet())
    folder.run(cut_off=12)
    folder.write(sheet(d2="2.5", d4="400.25") + "BTC,BTC Coin,2024-05-02,777\n")
    folder.run(cut_off=12)

    result = folder.run()

    assert (result.ending.outcome, result.ending.reason) == ("partial", "differing_rows")
    assert "2 records differ" in str(result.ending.error)
