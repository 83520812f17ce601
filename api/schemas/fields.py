"""What a document's fields hold, and how each is written."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from marshmallow import fields
from marshmallow.experimental.context import Context

DECIMALS = Context[str]
"""How amounts are written while a document is dumped: as a `number` or as a `string`."""

USD = "US dollars"
UNITS = "units of the asset"


class Number(fields.Field[Decimal]):
    """A number with every digit, in plain notation: never through a float, never `1E-8`."""

    def _serialize(self, value: Decimal | None, *_: Any, **__: Any) -> Any:
        return None if value is None else msgspec.Raw(format(value, "f"))


class Amount(Number):
    """A number of an asset's: a string where the request asks for `decimals=string`."""

    def _serialize(self, value: Decimal | None, *_: Any, **__: Any) -> Any:
        if value is None or DECIMALS.get("number") == "number":
            return super()._serialize(value)
        return format(value, "f")


def utc(moment: datetime) -> str:
    """Write a time as `Instant` does."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='microseconds')[: -len('+00:00')]}Z"


class Instant(fields.AwareDateTime):
    """A time in UTC (RFC 3339) with six digits: `2026-01-31T12:00:00.500000Z`.

    All of one length, so that they sort as text, and readers that take the first for the form of
    all can read them. `columns.instant_text` writes the same.
    """

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else utc(value)


class Hex(fields.Field[bytes]):
    """Bytes as hexadecimal digits."""

    def _serialize(self, value: bytes | None, *_: Any, **__: Any) -> str | None:
        return value.hex() if value is not None else None


class Json(fields.Field[Any]):
    """JSON as the database holds it."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value


def amount(description: str, *, nullable: bool = True, example: float | None = None) -> Amount:
    known = {} if example is None else {"example": example}
    return Amount(allow_none=nullable, metadata={"description": description, **known})


def share(description: str, *, nullable: bool = True) -> Number:
    return Number(allow_none=nullable, metadata={"description": description})


def seconds(description: str) -> Number:
    return Number(allow_none=True, metadata={"description": description})


def instant(description: str = "", *, nullable: bool = False) -> Instant:
    metadata = {"description": description} if description else {}
    return Instant(allow_none=nullable, metadata=metadata)
