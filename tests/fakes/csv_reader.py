"""A reader of CSV files, and small files for it."""

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from shared.errors import SourceError
from worker.sources.csv.source import CsvFiles

HEADER = "id,symbol,name,price_usd,last_updated"

BITCOIN = "bitcoin,BTC,Bitcoin,32797.10,2021-06-24T03:32:13.383Z"

ETHER = "ethereum,ETH,Ethereum,1913.88,2021-06-24T03:32:18.562Z"

CARDANO = "cardano,ADA,Cardano,1.28,2021-06-24T03:32:15.107Z"

KAGGLE = (
    "SNo,Name,Symbol,Date,High,Low,Open,Close,Volume,Marketcap\r\n"
    "1,Bitcoin,BTC,29-04-2013 23:59,147.4880066,134,134.4440002,144.5399933,0,1603768865\r\n"
    "2,Bitcoin,BTC,01-05-2013 23:59,146.92,134.05,144,139,26501259870,6.41899E+11\r\n"
)


def no_fetch(request, validator=None):
    raise AssertionError(request, validator)


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_bytes(("\n".join(lines) + end).encode())
    return path


class Reader:
    """Runs the source over and over, as the loop does, keeping its cursor as JSON."""

    def __init__(self, path, rows_per_page=2):
        self.source = CsvFiles(path=str(path), rows_per_page=rows_per_page)
        self.cursor = None

    def run(self, stop_after=None):
        """Read what is new; with `stop_after`, that many pages only."""
        records = []
        pages = self.source.pages(no_fetch, self.cursor, {})
        for number, page in enumerate(pages, start=1):
            assert number == 1 or page.cursor == self.cursor
            records += page.records
            self.cursor = json.loads(json.dumps(page.next_cursor))
            if number == stop_after:
                pages.close()
                break
        return records

    def names(self, **options):
        return [record.defect or record.document["row"]["id"] for record in self.run(**options)]


def load(path: Path, declaration: Path | None = None):
    source = CsvFiles(path="unused", rows_per_page=2, declaration=declaration)
    return [record for page in source.saved_pages(path) for record in page.records]


def observe(record):
    """Say what a record means from its stored payload alone."""
    document = msgspec.json.Decoder(float_hook=Decimal).decode(record.payload)
    assert document == record.document
    return CsvFiles(path="unused", rows_per_page=1).observe(document)


def refusal(path: Path, declaration: Path | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught:
        load(path, declaration)
    return caught.value
