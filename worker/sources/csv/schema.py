"""What a row must be: a schema for each set of headers and what is declared of it."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from marshmallow import Schema, ValidationError, fields

from shared.model.records import VALUES, Observation
from worker.sources.base import observation_of
from worker.sources.csv.cells.columns import find_columns
from worker.sources.csv.cells.names import SUPPLIES, is_dollars
from worker.sources.csv.cells.numbers import NumberCell, unknown_words
from worker.sources.csv.cells.pairs import PairSymbol, as_usd_hint
from worker.sources.csv.cells.times import Clock, TimeCell
from worker.sources.fields import (
    LONGEST_NAME,
    MAYBE_EMPTY,
    NOT_EMPTY,
    Direct,
    RecordSchema,
    StrippedString,
    brief,
)

NEVER_ZERO = frozenset({"market_cap_usd", *SUPPLIES})
"""Of these 0 is no figure that a priced asset can have: it stands for an unknown one."""

_NOT_SLUG = re.compile(r"[\W_]+")


class CurrencyCell(Direct[None]):
    """A cell that names the currency of its row: dollars, or what is declared to count as them."""

    def __init__(self, as_usd: frozenset[str], *, may_be_empty: bool) -> None:
        super().__init__(required=True)
        self.as_usd = as_usd
        self.may_be_empty = may_be_empty

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002
        data: Mapping[str, Any] | None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        if not isinstance(value, str):
            raise ValidationError(f"not a currency: {brief(value)}")
        if (self.may_be_empty and not value.strip()) or is_dollars(value, self.as_usd):
            return
        raise ValidationError(
            f"{brief(value)}, and only US dollars are read{as_usd_hint(value.strip())}"
        )


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
        self._namespace = f"{declared['namespace']}:" if "namespace" in declared else ""
        has_id = "id" in columns.headers or "external_id" in self._constants
        as_usd = frozenset(declared.get("as_usd", ()))
        symbol = StrippedString(required=True, validate=MAYBE_EMPTY if has_id else NOT_EMPTY)
        required: dict[str, fields.Field[Any]] = {
            "external_id": StrippedString(required=has_id, validate=NOT_EMPTY),
            "symbol": PairSymbol(as_usd) if declared.get("pair_symbols") else symbol,
            "name": StrippedString(required=True, validate=NOT_EMPTY),
            "observed_at": TimeCell(clock),
        }
        if "symbol" in self._constants:
            required["symbol"] = symbol
        if "currency" in columns.headers:
            required["currency"] = CurrencyCell(as_usd, may_be_empty="currency" in declared)
        values = {
            field: _number_cell(field, declared) for field in VALUES if field in columns.headers
        }
        self._cells = [
            ("external_id" if field == "id" else field, header)
            for field, header in columns.headers.items()
        ]
        self.schema: Schema = RecordSchema.from_dict(required | values, name="RowSchema")()

    def observe(self, row: Mapping[str, str]) -> Observation:
        loaded = self.schema.load(
            {**{key: row[header] for key, header in self._cells}, **self._constants}
        )
        loaded.pop("currency", None)
        if all(loaded.get(field) is None for field in VALUES):
            raise ValidationError("no value is known")
        external_id = loaded.get("external_id") or slug(f"{loaded['symbol']}-{loaded['name']}")
        if not external_id:
            raise ValidationError("symbol and name have no letter or digit", "external_id")
        if len(external_id) + len(self._namespace) > LONGEST_NAME:
            raise ValidationError(f"longer than {LONGEST_NAME} characters", "external_id")
        loaded["external_id"] = self._namespace + external_id
        return observation_of(loaded)


def _number_cell(field: str, declared: Mapping[str, Any]) -> NumberCell:
    return NumberCell(
        comma=declared.get("decimal") == "comma",
        zero_is_unknown=field in NEVER_ZERO or field in declared.get("zero_is_unknown", ()),
        unknown=unknown_words(declared.get("unknown", ())),
        counts_coins=field in SUPPLIES,
        is_optional=field != "price_usd",
    )


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
