"""Documents are written as their schema dumps them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from marshmallow import Schema, fields

from api.schemas.fields import DECIMALS, Hex, Json, amount, instant
from api.schemas.writer import writer


class Inner(Schema):
    name = fields.String(data_key="called")
    at = instant(nullable=True)


class Outer(Schema):
    name = fields.String()
    count = fields.Integer()
    flag = fields.Boolean()
    price = amount("")
    digest = Hex()
    raw = Json()
    inner = fields.Nested(Inner, allow_none=True)
    inners = fields.List(fields.Nested(Inner))
    prices = fields.List(amount(""))


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ONE = {"name": "a", "at": NOON}
WHOLE = {
    "name": 'x"\n',
    "count": 3,
    "flag": False,
    "price": Decimal("1E-8"),
    "digest": b"\x00\xff",
    "raw": msgspec.Raw(b"1.50"),
    "inner": {"name": "b", "at": NOON.astimezone(timezone(timedelta(hours=2)))},
    "inners": [ONE, {**ONE, "at": None}],
    "prices": [Decimal("1.50"), Decimal(0)],
    "unknown": 1,
}
ROWS = [WHOLE, dict.fromkeys(WHOLE), {"name": "b", "inner": {}}, {}]


@pytest.mark.parametrize("decimals", ["number", "string"])
@pytest.mark.parametrize("row", ROWS)
def test_a_document_is_written_as_its_schema_dumps_it(row, decimals):
    with DECIMALS(decimals):
        written, dumped = writer(Outer())(row), Outer().dump(row)

    assert list(written) == list(dumped)
    assert msgspec.json.encode(written) == msgspec.json.encode(dumped)
