"""The schema of a row: one for each combination of headers and declaration."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from marshmallow import Schema, ValidationError, fields

from shared.model.records import VALUES, Observation
from worker.sources.base import observation_of
from worker.sources.csv.cells.columns import find_columns
from worker.sources.csv.cells.headers import SUPPLIES, is_dollars
from worker.sources.csv.cells.numbers import NumberCell, unknown_words
from worker.sources.csv.cells.pairs import PairSymbol, as_usd_hint
from worker.sources.csv.cells.times import TimeCell, TimeParser
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
"""Values that cannot be 0 for an asset with a price: 0 means unknown."""

_NOT_SLUG = re.compile(r"[\W_]+")


class CurrencyCell(Direct[None]):
    """The currency of a row; only US dollars, and the currencies in `as_usd`, are valid."""

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


class RowSchema:
    """Reads rows with the same headers and the same declaration.

    The external id is the id or slug if the file has one, otherwise symbol and name
    (`btc-bitcoin`). A declared namespace is its prefix.
    """

    def __init__(self, headers: Sequence[str], declared: Mapping[str, Any]) -> None:
        columns = find_columns(headers, declared)
        parser = TimeParser.from_declaration(declared)
        self._constants: dict[str, Any] = {
            "external_id" if key == "id" else key: value
            for key, value in declared.get("values", {}).items()
        }
        self._namespace = f"{declared['namespace']}:" if "namespace" in declared else ""
        has_id = "id" in columns.headers or "external_id" in self._constants
        as_usd = frozenset(declared.get("as_usd", ()))
        symbol = StrippedString(required=True, validate=MAYBE_EMPTY if has_id else NOT_EMPTY)
        required: dict[str, fields.Field[Any]] = {
            "external_id": StrippedString(required=has_id, validate=NOT_EMPTY),
            "symbol": PairSymbol(as_usd) if declared.get("pair_symbols") else symbol,
            "name": StrippedString(required=True, validate=NOT_EMPTY),
            "observed_at": TimeCell(parser),
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

    def id_of(self, row: Mapping[str, Any]) -> str | None:
        """Return the external id of a row, which may be invalid; None if no column has an id."""
        cells = {key: row[header] for key, header in self._cells} | self._constants
        external_id = str(cells.get("external_id") or "").strip()
        return self._namespace + external_id if external_id else None

    def observe(self, row: Mapping[str, str]) -> Observation:
        loaded = self.schema.load(
            {**{key: row[header] for key, header in self._cells}, **self._constants}
        )
        loaded.pop("currency", None)
        if all(loaded.get(field) is None for field in VALUES):
            raise ValidationError("all values are unknown")
        external_id = loaded.get("external_id") or slug(f"{loaded['symbol']}-{loaded['name']}")
        if not external_id:
            raise ValidationError("symbol and name contain no letter or digit", "external_id")
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
    """Read a stored row with the declaration that was stored with it."""
    row = document.get("row")
    if not isinstance(row, dict):
        raise ValidationError("expected the cells of a row, by header", "row")
    return _schema_of(row, document.get("declared")).observe(row)


def id_of_row(document: Mapping[str, Any]) -> str | None:
    """Return the external id of a stored row; None if no column has an id."""
    row = document.get("row")
    return _schema_of(row, document.get("declared")).id_of(row) if isinstance(row, dict) else None


def _schema_of(row: Mapping[str, Any], declared: Any) -> RowSchema:
    key = msgspec.json.encode(declared, order="deterministic") if declared else b"{}"
    return row_schema(tuple(row), key)


@lru_cache(maxsize=64)
def row_schema(headers: tuple[str, ...], declared: bytes) -> RowSchema:
    """Return the cached schema; the declaration is JSON because a cache key must be hashable."""
    return RowSchema(headers, msgspec.json.decode(declared))


def slug(text: str) -> str:
    """Join the letters and digits of a text, of any script, in lower case with hyphens."""
    return _NOT_SLUG.sub("-", text.lower()).strip("-")
