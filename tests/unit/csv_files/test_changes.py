"""CSV files read run after run: appended, replaced, half written."""

import os
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest

from shared.errors import SourceError
from tests.fakes.csv_reader import (
    BITCOIN,
    CARDANO,
    ETHER,
    HEADER,
    Reader,
    load,
    no_fetch,
    observe,
    write,
)
from worker.sources.csv.source import CsvFiles


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_pages_are_of_the_size_asked_for(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, ETHER, CARDANO)

    pages = list(CsvFiles(path=str(path), rows_per_page=2).pages(no_fetch, None, {}))

    assert [len(page.records) for page in pages] == [2, 1]
    assert pages[1].cursor == pages[0].next_cursor


@pytest.mark.slow
def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path):
    peaks = []
    for rows in (2_000, 20_000):
        path = write(tmp_path / f"{rows}.csv", HEADER, *[BITCOIN] * rows)
        source = CsvFiles(path=str(path), rows_per_page=100)
        tracemalloc.start()
        assert sum(len(page.records) for page in source.pages(no_fetch, None, {})) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] * 2


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_that_did_not_change_is_not_read_again(tmp_path, end):
    reader = Reader(write(tmp_path / "p.csv", HEADER, BITCOIN, ETHER, end=end))

    assert reader.names() == ["bitcoin", "ethereum"]
    before = reader.cursor
    assert reader.names() == []
    assert reader.cursor == before


@pytest.mark.parametrize("stop_after", [1, 2])
def test_an_interrupted_run_continues_at_its_page(tmp_path, stop_after):
    lines = [f"c{number},C,Coin,1,2024-05-01" for number in range(5)]
    reader = Reader(write(tmp_path / "p.csv", HEADER, *lines))

    names = reader.names(stop_after=stop_after) + reader.names()

    assert names == [f"c{number}" for number in range(5)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_appended_file_continues_where_it_stopped(tmp_path, encoding):
    path = tmp_path / "p.csv"
    path.write_bytes(f"{HEADER}\n{BITCOIN}\nċ,Ċ,ਊ,1,2024-05-01\n".encode(encoding))
    reader = Reader(path)
    reader.run()

    codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
    append(path, f"{ETHER}\n".encode(codec))
    (record,) = reader.run()

    assert record.document["row"]["id"] == "ethereum"
    assert record.position == "p.csv, line 4"
    assert reader.names() == []


@pytest.mark.parametrize(
    "lines",
    [[HEADER, ETHER, CARDANO], [HEADER, ETHER], [HEADER, ETHER, BITCOIN, CARDANO]],
    ids=["as long", "shorter", "longer"],
)
def test_a_replaced_file_is_read_again(tmp_path, lines):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, CARDANO)
    reader = Reader(path)
    reader.run()

    write(tmp_path / "new", *lines).replace(path)

    assert len(reader.names()) == len(lines) - 1
    assert reader.names() == []


def test_a_file_rewritten_in_place_is_read_again(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, CARDANO)
    reader = Reader(path)
    reader.run()

    write(path, HEADER, BITCOIN, CARDANO.replace("1.28", "1.29"))
    os.utime(path, ns=(0, 0))

    assert reader.names() == ["bitcoin", "cardano"]


def test_a_file_with_only_a_new_mtime_is_checked_and_brings_nothing(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN)
    reader = Reader(path)
    reader.run()

    os.utime(path, ns=(0, 0))

    assert reader.names() == []
    assert list(reader.source.pages(no_fetch, reader.cursor, {})) == []


def test_a_changed_declaration_has_the_file_read_again(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN)
    reader = Reader(path)
    reader.run()

    (tmp_path / "p.csv.toml").write_text('namespace = "mine"')

    (record,) = reader.run()
    assert observe(record).external_id == "mine:bitcoin"
    assert reader.names() == []


@pytest.mark.parametrize(
    ("half", "rest"),
    [
        (ETHER[:4].encode(), ETHER[4:].encode()),
        (ETHER[:-20].encode(), ETHER[-20:].encode()),
        (b'ethereum,ETH,"Ether', b'",1,2024-05-01'),
        (b'ethereum,ETH,"Ether\nand more', b'",1,2024-05-01'),
        (b'ethereum,ETH,"Ether\nand more",', b"1,2024-05-01"),
        (b'ethereum,ETH,"Ether\n', b'and more",1,2024-05-01'),
        (b"ethereum,ETH,Ether " + "🪙".encode()[:2], "🪙".encode()[2:] + b",1,2024-05-01"),
    ],
)
def test_a_half_written_last_line_waits_until_it_is_complete(tmp_path, half, rest):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN)
    append(path, half)
    reader = Reader(path)

    assert reader.names() == ["bitcoin"]

    append(path, rest + f"\n{CARDANO}\n".encode())
    assert reader.names() == ["ethereum", "cardano"]


def test_an_incomplete_header_waits_until_it_is_complete(tmp_path):
    path = write(tmp_path / "p.csv", "id,sym", end="")
    reader = Reader(path)
    assert reader.names() == []

    append(path, f"{HEADER[6:]}\n{BITCOIN}\n".encode())
    assert reader.names() == ["bitcoin"]


def test_a_complete_last_row_without_a_newline_is_read_once_the_file_is_unchanged(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, ETHER, end="")
    reader = Reader(path)

    assert reader.names() == ["bitcoin"]
    assert reader.names() == ["ethereum"]
    assert reader.names() == []

    append(path, f"\n{CARDANO}\n".encode())
    assert reader.names() == ["ethereum", "cardano"]
    assert reader.names() == []


def test_a_last_row_that_was_incomplete_is_read_again_in_full(tmp_path):
    path = write(
        tmp_path / "p.csv", "symbol,name,date,price_usd", "BTC,Bitcoin,2024-05-01,12", end=""
    )
    reader = Reader(path)
    reader.run()
    (half,) = reader.run()

    append(path, b"345.6\n")
    (whole,) = reader.run()

    assert (observe(half).price_usd, observe(whole).price_usd) == (12, Decimal("12345.6"))


def test_an_incomplete_last_row_is_reported_and_never_rejected(tmp_path):
    reader = Reader(write(tmp_path / "p.csv", HEADER, BITCOIN, "ethereum,ETH", end=""))

    assert reader.names() == ["bitcoin"]
    for _ in range(2):
        with pytest.raises(SourceError, match="line 3: the last row is incomplete") as no:
            reader.names()
        assert no.value.code == "unfinished_row"


def test_an_emptied_file_is_refused_once_it_has_settled(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN)
    reader = Reader(path)
    assert reader.names() == ["bitcoin"]
    path.write_bytes(b"")

    assert reader.names() == []
    for _ in range(2):
        with pytest.raises(SourceError, match="is empty"):
            reader.names()


def test_at_an_import_the_end_of_the_file_is_the_end_of_the_row(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, BITCOIN, "ethereum,ETH", end="")

    assert [record.defect for record in load(path)] == [None, "2 cells under 5 headers"]
