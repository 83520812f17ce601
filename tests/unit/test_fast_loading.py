"""The short way of reading a record gives what its schema does, or leaves it to the schema."""

from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, fields

from tests.fakes.record_assertions import JSON_SOURCES
from tests.fakes.strategies import INSTANTS, NUMBERS, WORDS, damaged, elements
from worker.sources.fields import Amount
from worker.sources.json.fast_loading import PlainField, PlainReader, UnknownFieldError
from worker.sources.json.records import read_record

READERS = {name: PlainReader(source.schema) for name, source in JSON_SOURCES.items()}

NO_DECIMALS = {"1e", "1e999999999999999999999"}
DECIMALS = [Decimal(n) for n in NUMBERS if n[0].isdigit() and "x" not in n and n not in NO_DECIMALS]

decimals = st.sampled_from(DECIMALS)
odd = st.sampled_from(
    [
        *(None, True, False, -1, 0, 10**4000, -0.0, 1.5, b"1", [], {}, {"USD": None}, {"USD": {}}),
        *map(Decimal, ("NaN", "sNaN", "-Infinity", "-0E+3", "1E+40", "-0.0")),
    ]
)
values = st.one_of(st.sampled_from(WORDS + INSTANTS), decimals, st.integers(), st.datetimes(), odd)


def documents(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Documents that have the schema's fields, mostly of a kind that they take."""
    told: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in schema.fields.items():
        if isinstance(field, fields.Nested):
            usual = documents(field.schema)
        elif isinstance(field, Amount):
            usual = st.one_of(st.none(), decimals, st.integers(0, 10**20))
        else:
            usual = st.sampled_from(INSTANTS[:4] if name == "observed_at" else WORDS[:8])
        told[field.data_key or name] = st.one_of(*[usual] * 30, values)
    return st.fixed_dictionaries({}, optional=told) | st.fixed_dictionaries(told)


def assert_reads_alike(name: str, document: Mapping[str, Any]) -> None:
    plain = READERS[name].load(document)
    if plain is not None:
        loaded = JSON_SOURCES[name].schema.load(document)
        assert sorted(map(repr, plain.items())) == sorted(map(repr, loaded.items()))
        assert plain["observed_at"].tzinfo is UTC


@pytest.mark.parametrize("name", JSON_SOURCES)
@given(data=st.data())
def test_a_document_with_odd_values_is_read_as_its_schema_reads_it(name: str, data: st.DataObject):
    assert_reads_alike(name, data.draw(documents(JSON_SOURCES[name].schema)))


@pytest.mark.parametrize("name", JSON_SOURCES)
@given(data=st.data())
def test_a_record_as_received_is_read_as_its_schema_reads_it(name: str, data: st.DataObject):
    sent = elements(name)
    record = read_record(data.draw(sent | damaged(sent)), "page 1")

    assert_reads_alike(name, record.document or {})


@pytest.mark.parametrize("name", JSON_SOURCES)
def test_good_records_are_read_the_short_way(name: str):
    (page,) = JSON_SOURCES[name].saved_pages(Path(f"tests/payloads/{name}.json"))

    for record in page.records:
        assert READERS[name].load(record.document) is not None
        assert_reads_alike(name, record.document)


def test_no_reader_is_made_of_a_schema_that_says_more_than_it_understands():
    for field in (fields.Decimal(), Amount(load_default=1), PlainField()):
        with pytest.raises(UnknownFieldError, match="price"):
            PlainReader(Schema.from_dict({"price": field})())
