"""Generated and damaged answers: each record is one observation or one reject."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SourceError
from shared.model.records import Observation, RawRecord
from tests.fakes.record_assertions import (
    CSV_FILES,
    JSON_SOURCES,
    PAYLOADS,
    assert_is_known,
    exactly,
    examine,
    is_json,
)
from tests.fakes.strategies import damaged, lists, numbers, spaces
from worker.sources.csv import CsvFiles
from worker.sources.csv.cells.numbers import is_unknown
from worker.sources.csv.cells.pairs import is_certain_pair
from worker.sources.fields import Amount
from worker.sources.json.records import BYTE_ORDER_MARK, split_records

BETWEEN = re.compile(rb"[ \t\r\n]*")

# Where each source says the values: read beside the schemas, not through them.
PATHS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "coingecko": {
        "price_usd": ("current_price",),
        "market_cap_usd": ("market_cap",),
        "volume_24h_usd": ("total_volume",),
        "circulating_supply": ("circulating_supply",),
        "total_supply": ("total_supply",),
        "max_supply": ("max_supply",),
    },
    "coinpaprika": {
        "price_usd": ("quotes", "USD", "price"),
        "market_cap_usd": ("quotes", "USD", "market_cap"),
        "volume_24h_usd": ("quotes", "USD", "volume_24h"),
        "circulating_supply": ("circulating_supply",),
        "total_supply": ("total_supply",),
        "max_supply": ("max_supply",),
    },
}

MAY_BE_ZERO = {("coingecko", "price_usd"), *((name, "volume_24h_usd") for name in JSON_SOURCES)}


def no_fetch(request: object, validator: object = None) -> Any:
    raise AssertionError(request, validator)


def assert_values_are_those_of_the_text(name: str, record: RawRecord, said: Observation) -> None:
    document = exactly(record.payload)
    noted = dict(said.notes)
    for value, path in PATHS[name].items():
        sent: Any = document
        for step in path:
            sent = sent.get(step)
        if value in noted:
            assert not (type(sent) in {int, Decimal} and Amount.SMALLEST <= sent <= Amount.LARGEST)
            assert getattr(said, value) is None
            continue
        unknown = sent == 0 and (name, value) not in MAY_BE_ZERO
        assert getattr(said, value) == (None if unknown else sent)


def assert_covered(body: bytes, records: list[RawRecord]) -> None:
    """Hold that a list is its records' bytes, brackets, commas and white space; nothing else."""
    left = body.removeprefix(BYTE_ORDER_MARK)
    for number, record in enumerate(records):
        mark = b"," if number else b"["
        left = left[BETWEEN.match(left).end() :]
        assert left.startswith(mark)
        left = left[1:]
        left = left[BETWEEN.match(left).end() :]
        assert left.startswith(record.payload)
        left = left[len(record.payload) :]
    assert re.fullmatch(rb"[ \t\r\n]*\]?[ \t\r\n]*" if records else rb"\s*\[\s*\]\s*", left)


@pytest.mark.parametrize("name", JSON_SOURCES)
@given(data=st.data())
def test_every_generated_record_is_one_observation_or_one_reject(name: str, data: st.DataObject):
    source = JSON_SOURCES[name]
    sent = data.draw(lists(name))
    comma, before, after = data.draw(spaces), data.draw(spaces), data.draw(spaces)
    body = before + b"[" + (comma + b"," + comma).join(sent) + after + b"]" + before

    try:
        records = split_records(body, name, "page 1")
    except SourceError as exc:
        assert_is_known(exc, "not_json", "not_a_list")
        assert not all(map(is_json, sent))
        return

    if all(map(is_json, sent)):
        assert [record.payload for record in records] == sent
    assert_covered(body, records)
    assert len({record.position for record in records}) == len(records)
    for record in records:
        said = examine(source, record)
        if isinstance(said, Observation):
            assert_values_are_those_of_the_text(name, record, said)


@pytest.mark.parametrize("name", JSON_SOURCES)
@given(data=st.data())
def test_a_damaged_answer_is_a_source_error_or_records_of_which_each_is_accounted_for(
    name: str, data: st.DataObject
):
    original = (PAYLOADS / f"{name}.json").read_bytes()
    body = data.draw(damaged(st.just(original)))

    try:
        records = split_records(body, name, "page 1")
    except SourceError as exc:
        assert_is_known(exc, "not_json", "not_a_list")
        return

    assert_covered(body, records)
    for record in records:
        said = examine(JSON_SOURCES[name], record)
        if isinstance(said, Observation):
            assert_values_are_those_of_the_text(name, record, said)


@given(body=damaged(st.sampled_from(CSV_FILES)), rows_per_page=st.integers(1, 5))
def test_a_damaged_csv_file_is_a_source_error_or_rows_of_which_each_is_accounted_for(
    tmp_path_factory, body: bytes, rows_per_page: int
):
    file = tmp_path_factory.getbasetemp() / "damaged.csv"
    file.write_bytes(body)
    source = CsvFiles(path=str(file), rows_per_page=rows_per_page)

    try:
        records = [record for page in source.saved_pages(file) for record in page.records]
    except SourceError as exc:
        known = ("undeclared", "declaration", "differing_rows")
        assert_is_known(exc, *known, "not_csv", "no_header")
        return

    lines = [int(record.position.rpartition("line ")[2]) for record in records]
    assert lines == sorted(set(lines))
    for record in records:
        examine(source, record)
    read, refusal = read_until_settled(source)
    if refusal is not None:
        assert_is_known(refusal, "unfinished_row")
        assert records.pop().defect  # half a row, which nobody went on writing
    assert [r.payload for r in read] == [record.payload for record in records]


def read_until_settled(source: CsvFiles) -> tuple[list[RawRecord], SourceError | None]:
    """Read as the loop does: what a first run leaves as perhaps unfinished, a second settles."""
    cursor: Mapping[str, Any] | None = None
    records: list[RawRecord] = []
    for _ in range(2):
        try:
            for page in source.pages(no_fetch, cursor, {}):
                records += page.records
                cursor = json.loads(json.dumps(page.next_cursor))
        except SourceError as exc:
            return records, exc
    return records, None


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
symbols = cells.filter(lambda symbol: not is_certain_pair(symbol))  # a file that has some is asked


@given(
    rows=st.lists(st.tuples(symbols, cells, numbers.map(bytes.decode)), max_size=8),
    is_windows=st.booleans(),
)
def test_every_row_with_a_value_is_one_record_with_its_cells_as_written(
    tmp_path_factory, rows: list[tuple[str, str, str]], is_windows: bool
):
    end = "\r\n" if is_windows else "\n"
    at = "2025-03-01T12:0{}:00Z"  # rows of one coin and instant would contradict each other
    written = [("x", *row, at.format(minute)) for minute, row in enumerate(rows)]
    good = ("btc", "BTC", "Bitcoin", "1.50", at.format(0))
    file = tmp_path_factory.getbasetemp() / "written.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        out.write("id,symbol,name,price_usd,last_updated" + end)
        for row in (good, *written):
            out.write(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + end)
    source = CsvFiles(path=str(file), rows_per_page=3)

    records = [record for page in source.saved_pages(file) for record in page.records]

    with_a_value = [good, *(row for row in written if not is_unknown(row[3]))]
    assert [tuple(record.document["row"].values()) for record in records] == with_a_value
    for record in records:
        said = examine(source, record)
        if isinstance(said, Observation) and said.price_usd is not None:
            assert said.price_usd == Decimal(record.document["row"]["price_usd"])
    assert read_until_settled(source) == (records, None)
