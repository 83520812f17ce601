"""Fields of documents, and their formats."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from marshmallow import fields
from marshmallow.experimental.context import Context

DECIMALS = Context[str]
"""The format of amounts while a document is dumped: `number` or `string`."""

USD = "US dollars"
UNITS = "units of the asset"


class Number(fields.Field[Decimal]):
    """A number with every digit in plain notation: never a float, never `1E-8`."""

    def _serialize(self, value: Decimal | None, *_: Any, **__: Any) -> Any:
        return None if value is None else msgspec.Raw(format(value, "f"))


class Amount(Number):
    """A number of an asset; a string with `decimals=string`."""

    def _serialize(self, value: Decimal | None, *_: Any, **__: Any) -> Any:
        if value is None or DECIMALS.get("number") == "number":
            return super()._serialize(value)
        return format(value, "f")


def utc(moment: datetime) -> str:
    """Write a time in the format of `Instant`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='microseconds')[: -len('+00:00')]}Z"


class Instant(fields.AwareDateTime):
    """A time in UTC (RFC 3339) with six digits: `2026-01-31T12:00:00.500000Z`.

    All have the same length, so they sort as text, and readers that infer the format from the first
    value can read them. `columns.instant_text` writes the same format.
    """

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else utc(value)


class Hex(fields.Field[bytes]):
    """Bytes as hexadecimal digits."""

    def _serialize(self, value: bytes | None, *_: Any, **__: Any) -> str | None:
        return value.hex() if value is not None else None


class Json(fields.Field[Any]):
    """JSON as stored in the database."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value


def amount(description: str, *, nullable: bool = True, example: float | None = None) -> Amount:
    metadata = {} if example is None else {"example": example}
    return Amount(allow_none=nullable, metadata={"description": description, **metadata})


def share(description: str, *, nullable: bool = True) -> Number:
    return Number(allow_none=nullable, metadata={"description": description})


def seconds(description: str) -> Number:
    return Number(allow_none=True, metadata={"description": description})


def instant(description: str = "", *, nullable: bool = False) -> Instant:
    metadata = {"description": description} if description else {}
    return Instant(allow_none=nullable, metadata=metadata)
