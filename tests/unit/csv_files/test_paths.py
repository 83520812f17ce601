"""Which CSV files a path names."""

import os
from pathlib import Path

import pytest

from shared.errors import SourceError
from tests.fakes.csv_reader import BITCOIN, CARDANO, ETHER, HEADER, Reader, no_fetch, refusal, write
from worker.sources.csv.source import CsvFiles


def test_a_folder_and_a_glob_are_read_in_order_of_their_names(tmp_path):
    write(tmp_path / "b.csv", HEADER, ETHER)
    write(tmp_path / "a.CSV", HEADER, BITCOIN)
    write(tmp_path / "c.tsv", HEADER.replace(",", "\t"), CARDANO.replace(",", "\t"))
    write(tmp_path / "b.csv.toml", 'namespace = "b"')
    write(tmp_path / "notes.txt", "nothing")
    write(tmp_path / ".hidden.csv", "nothing")

    assert Reader(tmp_path).names() == ["bitcoin", "ethereum", "cardano"]
    assert Reader(tmp_path / "b*").names() == ["ethereum"]
    assert Reader(tmp_path / "a.CSV").names() == ["bitcoin"]


def test_a_new_file_beside_known_ones_is_read_alone_and_a_lost_one_forgotten(tmp_path):
    lost = write(tmp_path / "a.csv", HEADER, BITCOIN)
    reader = Reader(tmp_path)
    reader.run()

    write(tmp_path / "b.csv", HEADER, ETHER)
    assert reader.names() == ["ethereum"]

    lost.unlink()
    write(tmp_path / "c.csv", HEADER, CARDANO)
    assert reader.names() == ["cardano"]
    assert {Path(key).name for key in reader.cursor["files"]} == {"b.csv", "c.csv"}


def test_a_refused_file_fails_the_run_after_the_others_are_read(tmp_path):
    write(tmp_path / "a.csv", "symbol,name,date,price", "BTC,Bitcoin,2024-05-01,1")
    write(tmp_path / "b.csv", HEADER, ETHER)
    write(tmp_path / "c.csv", f"{HEADER},id", f"{ETHER},x")
    pages = CsvFiles(path=str(tmp_path), rows_per_page=2).pages(no_fetch, None, {})

    page = next(pages)
    assert page.records[0].document["row"]["id"] == "ethereum"

    with pytest.raises(SourceError) as caught:
        next(pages)
    assert caught.value.code == "undeclared"
    assert "2 of 3 files" in str(caught.value)
    assert "a.csv" in str(caught.value)
    assert "c.csv" in str(caught.value)


@pytest.mark.parametrize("path", ["nothing.csv", "*.csv", "."])
def test_a_path_without_files_fails_the_run(tmp_path, path):
    with pytest.raises(SourceError, match="CSV_PATH is ") as caught:
        Reader(tmp_path / path).run()

    assert caught.value.code == "no_file"


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    assert refusal(tmp_path).code == "unreadable"
    assert refusal(tmp_path / "gone.csv").code == "unreadable"


def test_a_file_of_a_name_that_is_not_utf_8_can_be_read(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    write(path, HEADER, BITCOIN)

    (record,) = Reader(tmp_path).run()

    assert record.position == "caf\\xe9.csv, line 2"
