"""Fields of parameters: columns to sort by, bounds, hashes, versions and times."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields

from api.parameters import Count, nearest
from api.queries.assets.columns import ASSET_COLUMNS, SORT_COLUMNS
from api.queries.assets.keyset import Sort, SortKey
from api.queries.times import in_utc

MOST_SORT_KEYS = 4

DECIMAL = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,3})?", re.ASCII)

HASH = re.compile("[0-9a-f]{32}")


class SortField(fields.Field[Sort]):
    """Columns of an asset; a minus sign before a column means descending order."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Sort:  # noqa: ARG002
        keys = tuple(self._read(part.strip()) for part in value.split(","))
        columns = [key.column for key in keys]
        if len(set(columns)) < len(columns):
            raise ValidationError("a column is named twice")
        if len(keys) > MOST_SORT_KEYS:
            raise ValidationError(f"{len(keys)} columns; at most {MOST_SORT_KEYS}")
        return keys

    def _read(self, part: str) -> SortKey:
        column = part.removeprefix("-")
        if column not in SORT_COLUMNS:
            if column in ASSET_COLUMNS:
                raise ValidationError(f"{column!r} is true or false; filter by it instead")
            raise ValidationError(f"no column {column!r}; {nearest(column, SORT_COLUMNS)}")
        return SortKey(column, descending=part.startswith("-"))


class Bound(fields.Field[Decimal]):
    """A number as in JSON, read with every digit."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Decimal:  # noqa: ARG002
        if not DECIMAL.fullmatch(value):
            raise ValidationError(f"not a number: {value[:80]!r}; expected for example 0.05 or 1e9")
        return Decimal(value)


class Hash(fields.Field[bytes]):
    """The hash of a raw record as 32 hexadecimal digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bytes:  # noqa: ARG002
        if not HASH.fullmatch(value):
            raise ValidationError(
                f"not a hash: {value[:80]!r}; expected 32 hexadecimal digits in lower case"
            )
        return bytes.fromhex(value)


class Version(Count):
    """A version of the data."""

    digits = 18


class Since(fields.Field[datetime]):
    """A time with its offset (RFC 3339)."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:  # noqa: ARG002
        expected = "expected a time such as 2026-01-31T12:00:00Z"
        try:
            moment = parse_time(value)
        except ValueError as exc:
            raise ValidationError(f"not a time: {value[:80]!r}; {expected}") from exc
        try:
            return in_utc(moment)
        except ValueError as exc:
            raise ValidationError(f"{value[:80]!r} {exc}; {expected}") from exc


def parse_time(text: str) -> datetime:
    """Read a time of a query string. A plus sign that is not encoded as %2B arrives as a space.

    Raises:
        ValueError: it is not a time.
    """
    return datetime.fromisoformat(re.sub(r" (?=\d\d:\d\d$)", "+", text))
