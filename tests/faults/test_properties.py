import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Text, create_engine, select, text

from shared.errors import SourceError
from shared.partitions import periods_of
from shared.records import VALUES, Observation, RawRecord, Reject
from shared.tables import RAW, metadata, rejects, runs
from tests.fakes.batches import COINGECKO, COINPAPRIKA, market, open_run
from tests.fakes.strategies import DIGITS, damaged, lists, numbers, spaces
from worker import staging, store
from worker.check import check
from worker.sources.base import Source
from worker.sources.csv import CsvFiles
from worker.sources.json_records import BYTE_ORDER_MARK, split_records
from worker.store import Batch

NOW = datetime(2026, 1, 2, 12, 1, tzinfo=UTC)
PAYLOADS = Path("tests/payloads")
JSON_SOURCES = {source.name: source for source in (COINGECKO, COINPAPRIKA)}
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


def exactly(payload: bytes | str) -> Any:
    """Decode JSON with every number as the decimal that its text is."""
    return json.loads(payload, parse_float=Decimal, parse_int=Decimal)


def assert_is_known(error: SourceError, *codes: str) -> None:
    assert error.code in codes


def examine(source: Source, record: RawRecord) -> Observation | Reject:
    """Check a record, and hold what must be true of what comes out, whatever went in."""
    checked = check(source, record, NOW)
    if isinstance(checked, Reject):
        assert checked.record is record
        assert checked.reasons
        assert all(reason and isinstance(reason, str) for reason in checked.reasons)
        json.dumps(list(checked.reasons), ensure_ascii=False).encode()
        return checked
    assert record.defect is None
    assert checked.observed_at.tzinfo is UTC
    for value in VALUES:
        found = getattr(checked, value)
        assert found is None or (type(found) is Decimal and found >= 0)
    return checked


def assert_values_are_those_of_the_text(name: str, record: RawRecord, said: Observation) -> None:
    document = exactly(record.payload)
    for value, path in PATHS[name].items():
        sent: Any = document
        for step in path:
            sent = sent.get(step)
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


def is_json(element: bytes) -> bool:
    try:
        json.loads(element)
    except (ValueError, RecursionError):
        return False
    return True


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


CSV_FILES = [
    (PAYLOADS / "csv.csv").read_bytes(),
    (PAYLOADS / "csv.csv").read_bytes().replace(b"\n", b"\r\n"),
    b"\xff\xfe" + (PAYLOADS / "csv.csv").read_text().encode("utf-16-le"),
    (
        b"id;symbol;name;price_usd;last_updated\n"
        b"btc;BTC;Bitcoin;8746.6;2020-01-14T00:00:00Z\n"
        b'eth;ETH;"Ether; the\nsecond";"166.9";1578960000\n'
    ),
]


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
        assert_is_known(exc, *known, "not_csv", "no_header", "duplicate_header")
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


@given(
    rows=st.lists(st.tuples(cells, cells, numbers.map(bytes.decode)), max_size=8),
    is_windows=st.booleans(),
)
def test_every_row_of_a_csv_file_is_one_record_with_its_cells_as_written(
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

    assert [tuple(record.document["row"].values()) for record in records] == [good, *written]
    for record in records:
        said = examine(source, record)
        if isinstance(said, Observation) and said.price_usd is not None:
            assert said.price_usd == Decimal(record.document["row"]["price_usd"])
    assert read_until_settled(source) == (records, None)


@pytest.fixture(scope="module")
def shared_engine(server, maintenance_engine, template_database) -> Iterator[Engine]:
    """A database for all generated batches; each example empties it."""
    with maintenance_engine.connect() as conn:
        conn.execute(text(f"CREATE DATABASE properties TEMPLATE {template_database}"))
    engine = create_engine(server.url.set(database="properties"))
    yield engine
    engine.dispose()
    with maintenance_engine.connect() as conn:
        conn.execute(text("DROP DATABASE properties WITH (FORCE)"))


@pytest.fixture(scope="module")
def session(shared_engine: Engine) -> Iterator[Connection]:
    with shared_engine.connect() as conn:
        yield conn


def empty(conn: Connection) -> None:
    with conn.begin():
        for table in reversed(metadata.sorted_tables):
            conn.execute(table.delete())


def assert_loads(conn: Connection, source: Source, records: list[RawRecord]) -> None:
    """Load what the checks let through and what they refused, and compare it with what came."""
    checked = [(record, examine(source, record)) for record in records]
    observed = [(record, said) for record, said in checked if isinstance(said, Observation)]
    refused = [said for _, said in checked if isinstance(said, Reject)]
    periods = periods_of([said.observed_at for _, said in observed])
    batch = Batch(staging.stage(observed), len(observed), refused, None, periods)
    empty(conn)
    run_id = open_run(conn, source)

    first = store.load_batch(conn, source.name, run_id, batch)
    again = store.load_batch(conn, source.name, run_id, batch)

    assert first.fetched == len(records) == first.new + first.unchanged + first.rejected
    assert first.rejected == len(refused)
    assert (again.new, again.unchanged, again.rejected) == (0, len(observed), len(refused))
    with conn.begin():
        raw = RAW[source.name]
        stored = conn.scalars(select(raw.c.payload.cast(Text))).all()
        kept = conn.execute(select(rejects.c.payload, rejects.c.times_seen)).all()
        counted = conn.execute(
            select(runs.c.records_fetched, runs.c.records_new, runs.c.records_rejected)
        ).one()
    assert first.new == len(stored)
    assert counted == (2 * len(records), first.new, 2 * len(refused))
    sent = {as_text(exactly(record.payload)) for record, _ in observed}
    assert {as_text(exactly(payload)) for payload in stored} == sent
    assert Counter({bytes(row.payload): row.times_seen for row in kept}) == Counter(
        [said.record.payload for said in refused] * 2
    )


def as_text(document: Any) -> str:
    """Write a document so that two with the same digits read the same."""
    return json.dumps(document, sort_keys=True, default=lambda number: f"{number + 0:f}")


def split(name: str, *elements: bytes) -> list[RawRecord]:
    return split_records(b"[" + b",".join(elements) + b"]", name, "page 1")


@pytest.mark.parametrize("name", JSON_SOURCES)
@given(data=st.data())
def test_whatever_passes_the_checks_loads_and_is_read_back_with_every_digit(
    session: Connection, name: str, data: st.DataObject
):
    sent = data.draw(lists(name, least=8, most=40))

    assert_loads(session, JSON_SOURCES[name], split(name, *filter(is_json, sent)))


@pytest.mark.parametrize("name", JSON_SOURCES)
@given(data=st.data())
def test_whatever_passes_of_a_damaged_answer_loads(
    session: Connection, name: str, data: st.DataObject
):
    original = (PAYLOADS / f"{name}.json").read_bytes()
    try:
        records = split_records(data.draw(damaged(st.just(original))), name, "page 1")
    except SourceError:
        return

    assert_loads(session, JSON_SOURCES[name], records)


@given(body=damaged(st.sampled_from(CSV_FILES)))
def test_whatever_passes_of_a_damaged_csv_file_loads(
    session: Connection, tmp_path_factory, body: bytes
):
    file = tmp_path_factory.getbasetemp() / "loaded.csv"
    file.write_bytes(body)
    source = CsvFiles(path=str(file), rows_per_page=100)
    try:
        records = [record for page in source.saved_pages(file) for record in page.records]
    except SourceError:
        return

    assert_loads(session, source, records)


HIDDEN = market("btc", "btc", "Bitcoin")
LONG = b"1." + DIGITS[:6000].encode()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (HIDDEN.replace(b'"name"', b'"name": "\\u0000", "name"'), "U+0000"),
        (HIDDEN.replace(b'"name"', b'"x": [{"a": "\\ud800", "a": 1}], "name"'), "surrogate"),
        (HIDDEN.replace(b'"name"', b'"name": [1e999999], "name"'), "beyond what Postgres"),
        (HIDDEN.replace(b'"market_cap": 1000', b'"market_cap": ' + LONG), "market_cap_usd: more"),
    ],
    ids=["U+0000 under a name that comes again", "half a pair", "a huge number", "6000 digits"],
)
def test_what_postgres_cannot_store_is_a_reject_and_costs_no_other_record(
    session: Connection, payload: bytes, reason: str
):
    records = split("coingecko", payload, market("eth", "eth", "Ether"))

    refused, kept = (examine(COINGECKO, record) for record in records)

    assert isinstance(refused, Reject)
    assert any(reason in said for said in refused.reasons)
    assert isinstance(kept, Observation)
    assert_loads(session, COINGECKO, records)


def test_a_csv_cell_of_too_many_digits_is_a_reject_and_costs_no_other_row(
    session: Connection, tmp_path: Path
):
    header = "id,symbol,name,price_usd,market_cap_usd,last_updated"
    rows = [
        f"{name},{name},{name},{price},{cap},2025-03-01T12:00:00Z"
        for name, price, cap in [
            ("a", f"1.{DIGITS[:17_000]}", "1"),
            ("b", "1", f"1.{DIGITS[:6000]}"),
            ("c", "1.5", "1"),
        ]
    ]
    file = tmp_path / "long.csv"
    file.write_text("\n".join([header, *rows, ""]))
    source = CsvFiles(path=str(file), rows_per_page=10)

    records = [record for page in source.saved_pages(file) for record in page.records]

    assert [type(examine(source, record)) for record in records] == [Reject, Reject, Observation]
    assert_loads(session, source, records)
