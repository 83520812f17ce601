"""What a row must be: a schema for each set of headers and what is declared of it."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from marshmallow import Schema, ValidationError, fields

from shared.records import VALUES, Observation
from worker.sources.base import LONGEST_NAME, MAYBE_EMPTY, NOT_EMPTY, RecordSchema, StrippedString
from worker.sources.csv.columns import find_columns
from worker.sources.csv.numbers import NumberCell
from worker.sources.csv.times import Clock, TimeCell

NEVER_ZERO = frozenset({"market_cap_usd", "circulating_supply", "total_supply", "max_supply"})
"""Of these 0 is no figure that a priced asset can have: it stands for an unknown one."""

_NOT_SLUG = re.compile(r"[\W_]+")


class RowReading:
    """How rows under one set of headers, with one declaration, are read.

    The external id is the id or slug where there is one, else symbol and name (`btc-bitcoin`); a
    declared namespace goes before it.
    """

    def __init__(self, headers: Sequence[str], declared: Mapping[str, Any]) -> None:
        columns = find_columns(headers, declared)
        clock = Clock.from_declared(declared)
        self._constants: dict[str, Any] = {
            "external_id" if key == "id" else key: told
            for key, told in declared.get("values", {}).items()
        }
        self._cells = [
            ("external_id" if field == "id" else field, header)
            for field, header in columns.headers.items()
        ]
        self._namespace = f"{declared['namespace']}:" if "namespace" in declared else ""
        has_id = "external_id" in {*self._constants, *dict(self._cells)}
        zeros = {*NEVER_ZERO, *declared.get("zero_is_unknown", ())}
        comma = declared.get("decimal") == "comma"
        required: dict[str, fields.Field[Any]] = {
            "external_id": StrippedString(required=has_id, validate=NOT_EMPTY),
            "symbol": StrippedString(required=True, validate=MAYBE_EMPTY if has_id else NOT_EMPTY),
            "name": StrippedString(required=True, validate=NOT_EMPTY),
            "observed_at": TimeCell(clock),
        }
        members = required | {
            key: NumberCell(comma=comma, zero_is_unknown=key in zeros)
            for key, _ in self._cells
            if key in VALUES
        }
        self.schema: Schema = RecordSchema.from_dict(members, name="RowSchema")()

    def observe(self, row: Mapping[str, str]) -> Observation:
        cells = {key: row[header] for key, header in self._cells}
        loaded = self.schema.load({**cells, **self._constants})
        external_id = loaded.get("external_id") or slug(f"{loaded['symbol']}-{loaded['name']}")
        if not external_id:
            raise ValidationError("symbol and name have no letter or digit", "external_id")
        if len(external_id) + len(self._namespace) > LONGEST_NAME:
            raise ValidationError(f"longer than {LONGEST_NAME} characters", "external_id")
        loaded["external_id"] = self._namespace + external_id
        return Observation(**loaded)


def observe_row(document: Mapping[str, Any]) -> Observation:
    """Say what a row means, from its own cells and what was declared when it was read."""
    row = document.get("row")
    declared = document.get("declared")
    if not isinstance(row, dict):
        raise ValidationError("expected the cells of a row, by header", "row")
    told = msgspec.json.encode(declared, order="deterministic") if declared else b"{}"
    return row_reading(tuple(row), told).observe(row)


@lru_cache(maxsize=64)
def row_reading(headers: tuple[str, ...], declared: bytes) -> RowReading:
    """Make the reading for these headers once; the declaration is JSON, so that it can be a key."""
    return RowReading(headers, msgspec.json.decode(declared))


def slug(text: str) -> str:
    """Reduce text to lower-case letters and digits of any script, parted by hyphens."""
    return _NOT_SLUG.sub("-", text.lower()).strip("-")
