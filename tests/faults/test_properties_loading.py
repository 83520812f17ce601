"""Generated and damaged answers, loaded: each record is stored with every digit, or refused."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Text, create_engine, select, text

from shared.errors import SourceError
from shared.model.records import Observation, RawRecord, Reject
from shared.schema.base import metadata
from shared.schema.operations import rejects, runs
from shared.schema.raw import RAW
from tests.fakes.batches import COINGECKO, market, open_run
from tests.fakes.record_assertions import (
    CSV_FILES,
    JSON_SOURCES,
    PAYLOADS,
    exactly,
    examine,
    is_json,
)
from tests.fakes.strategies import DIGITS, damaged, lists
from worker.database.periods import periods_of
from worker.ingest.batch import copy, transaction
from worker.ingest.batch.contents import Batch
from worker.sources.base import Source
from worker.sources.csv import CsvFiles
from worker.sources.json.records import split_records


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
    batch = Batch(copy.stage(observed), len(observed), refused, None, periods)
    empty(conn)
    run_id = open_run(conn, source)

    first = transaction.load_batch(conn, source.name, run_id, batch)
    again = transaction.load_batch(conn, source.name, run_id, batch)

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
        (
            HIDDEN.replace(b'"name"', b'"name": [1e999999], "name"'),
            "beyond the range that Postgres",
        ),
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
