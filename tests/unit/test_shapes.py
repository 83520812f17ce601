from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.records import RawRecord, Reject
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, market
from worker.drift.differences import Difference, Expected, expected_paths
from worker.drift.renamed import find_renamed
from worker.drift.shapes import LONGEST_PATH, MOST_NAMES, MOST_PATHS, ShapeCounter
from worker.ingest.checking.check import check
from worker.sources.base import Policy
from worker.sources.json.records import split_records

NOW = datetime(2026, 1, 2, 12, 1, tzinfo=UTC)


def counted(*documents: dict[str, Any], counter: ShapeCounter | None = None) -> Counter[Any]:
    counter = counter or ShapeCounter()
    for number, document in enumerate(documents, start=1):
        record = RawRecord(b"", f"record {number}", document)
        counter.add(document, record, Reject(record, []))
    return Counter({(shape.path, shape.type): shape.records for shape in counter.take()})


def test_every_path_is_counted_with_each_type_that_stands_there():
    found = counted(
        {"id": "a", "price": 1, "quotes": {"USD": {"price": Decimal("1.5")}}, "ok": True},
        {"id": "b", "price": None, "quotes": {"USD": {"price": 2}}, "ok": False},
        {"id": "c", "price": "1", "quotes": {}, "tags": []},
    )

    assert found == {
        ("", "object"): 3,
        ("id", "string"): 3,
        ("price", "number"): 1,
        ("price", "null"): 1,
        ("price", "string"): 1,
        ("quotes", "object"): 3,
        ("quotes.USD", "object"): 2,
        ("quotes.USD.price", "number"): 2,
        ("ok", "boolean"): 2,
        ("tags", "array"): 1,
    }


def test_a_record_counts_once_at_a_path_however_many_elements_it_has_there():
    found = counted(
        {"a": [{"x": 1}, {"x": 2}, {"x": None}, "s", [1, 2]], "o": {"p": [1]}, "b": {"q": {}}}
    )

    assert found == {
        ("", "object"): 1,
        ("a", "array"): 1,
        ("a.[]", "object"): 1,
        ("a.[].x", "number"): 1,
        ("a.[].x", "null"): 1,
        ("a.[]", "string"): 1,
        ("a.[]", "array"): 1,
        ("a.[].[]", "number"): 1,
        ("o", "object"): 1,
        ("o.p", "array"): 1,
        ("o.p.[]", "number"): 1,
        ("b", "object"): 1,
        ("b.q", "object"): 1,
    }


def test_whole_numbers_and_others_are_one_shape():
    assert counted({"x": 1}, {"x": Decimal("0.1")}) == {("", "object"): 2, ("x", "number"): 2}


def test_what_was_taken_is_not_counted_again():
    counter = ShapeCounter()

    counted({"x": 1}, counter=counter)

    assert counter.take() == []
    assert counted({"y": 1}, counter=counter) == {("", "object"): 1, ("y", "number"): 1}


def test_an_example_says_where_a_record_with_the_shape_is():
    records = split_records(
        b"[" + market("bitcoin", "btc", "Bitcoin") + b',{"id":"odd"}]', "coingecko", "page 3"
    )
    counter = ShapeCounter()
    for record in records:
        assert record.document is not None
        counter.add(record.document, record, check(COINGECKO, record, NOW))

    examples = {shape.path: shape.example for shape in counter.take()}

    assert examples["current_price"] == {
        "external_id": "bitcoin",
        "observed_at": "2026-01-02T12:00:00+00:00",
        "position": "page 3, record 1",
    }


def test_an_empty_cell_is_null_and_what_was_declared_is_no_part_of_the_shape():
    received = CSV.received({"row": {"id": "a", "price": ""}, "declared": {"values": {}}})

    assert received is not None
    assert counted(received, counter=ShapeCounter(empty_is_null=True)) == {
        ("", "object"): 1,
        ("id", "string"): 1,
        ("price", "null"): 1,
    }
    assert CSV.received({"row": "no cells"}) is None


def test_names_that_are_data_share_a_path():
    by_day = {f"day-{number}": 1 for number in range(MOST_NAMES + 1)}

    assert counted({"by_day": by_day})["by_day.*", "number"] == 1


def test_paths_of_a_source_are_told_apart_up_to_a_limit_that_holds_over_batches_and_runs():
    known = [f"known-{number}" for number in range(MOST_PATHS - 1)]
    counter = ShapeCounter(known)

    assert counted({"new": {"a": 1}, "known-7": 1}, counter=counter) == {
        ("", "object"): 1,
        ("new", "object"): 1,
        ("new.*", "number"): 1,
        ("known-7", "number"): 1,
    }
    assert counted({"another": 1, "new": 1}, counter=counter) == {
        ("", "object"): 1,
        ("*", "number"): 1,
        ("new", "number"): 1,
    }


@pytest.mark.parametrize("name", ["nul\0", "half \ud83d", "x" * 1000, "", "a.b", "é"])
def test_a_path_is_text_that_postgres_holds(name: str):
    (path,) = (path for path, type_ in counted({name: 1}) if type_ == "number")

    assert path
    assert "\0" not in path
    assert len(path) <= LONGEST_PATH
    assert path.encode()


NAMES = st.text("ab", min_size=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def naive(node: Any, path: str = "") -> set[tuple[str, str]]:
    """Name every place in a document, the slow way."""
    if isinstance(node, dict):
        inner = [naive(value, f"{path}.{name}" if path else name) for name, value in node.items()]
        return {(path, "object")}.union(*inner)
    if isinstance(node, list):
        element = f"{path}.[]" if path else "[]"
        return {(path, "array")}.union(*(naive(value, element) for value in node))
    if node is None or isinstance(node, bool | str):
        return {(path, {type(None): "null", bool: "boolean", str: "string"}[type(node)])}
    return {(path, "number")}


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=5), max_size=8))
def test_any_records_are_counted_as_one_by_one(documents: list[dict[str, Any]]):
    expected = Counter(place for document in documents for place in naive(document))

    assert counted(*documents) == expected


def test_the_schema_says_which_paths_and_types_it_expects():
    expected = expected_paths(COINPAPRIKA.received_schema)

    assert expected["quotes"] == Expected("object", required=True, nullable=False)
    assert expected["quotes.USD.price"] == Expected("number", required=True, nullable=True)
    assert expected["last_updated"] == Expected("string", required=True, nullable=False)
    assert expected["circulating_supply"] == Expected("number", required=False, nullable=True)
    assert expected_paths(CSV.received_schema) == {}


def test_a_policy_holds_for_what_is_below_its_path():
    assert COINPAPRIKA.policy("quotes.USD.price") is Policy.FAIL
    assert COINPAPRIKA.policy("quotes.USD.price.value") is Policy.FAIL
    assert COINPAPRIKA.policy("quotes.USD") is Policy.WARN
    assert COINPAPRIKA.policy("circulating_supply") is Policy.ACCEPT


def vanished(path: str) -> Difference:
    return Difference(path, "vanished", {"from": ["number"]}, 10, 1.0, {})


def appeared(path: str, type_: str = "number") -> Difference:
    return Difference(path, "appeared", {"to": [type_]}, 10, 1.0, {})


def test_a_renamed_path_is_the_one_alike_in_name_and_value():
    records = [({"volume": n}, {"total_volume": n, "volume_rank": 3 * n}) for n in (1, 20)]

    (found,) = find_renamed(
        [vanished("volume")], [appeared("volume_rank"), appeared("total_volume")], records
    )

    assert found.path == "volume"
    assert found.detail["to"] == "total_volume"
    assert found.detail["value"] == 1
    assert found.detail["confidence"] > 0.8


def test_likeness_of_names_alone_is_no_more_than_a_guess_and_other_values_rule_it_out():
    old, new = [vanished("change_1y")], [appeared("change_1h")]

    (guess,) = find_renamed(old, new, [])
    assert 0.5 <= guess.detail["confidence"] < 0.7
    assert find_renamed(old, new, [({"change_1y": 240}, {"change_1h": -0.1})]) == []


@pytest.mark.parametrize("path", ["quotes.volumes", "other"])
def test_paths_of_another_parent_or_type_are_no_pair(path: str):
    assert find_renamed([vanished("volume")], [appeared(path)], []) == []
    assert find_renamed([vanished("volume")], [appeared("volumes", "string")], []) == []
