"""Comparisons of two runs."""

from typing import Any

from marshmallow import Schema, fields

from api.schemas.fields import share
from api.schemas.operations.runs import (
    ComparedRunSchema,
    PhasesSchema,
    RatesSchema,
    RunRecordsSchema,
)


class ListedListingSchema(Schema):
    """A listing that one of the runs observed, or both."""

    asset = fields.String(metadata={"description": "The slug of its asset", "example": "bitcoin"})
    external_id = fields.String(
        metadata={"description": "The source's own id", "example": "bitcoin"}
    )
    symbol = fields.String(metadata={"example": "BTC"})
    name = fields.String(metadata={"example": "Bitcoin"})
    price_usd_a = share("The last price in run `a`, in US dollars")
    price_usd_b = share("The last price in run `b`, in US dollars")
    percent = share("The change of the price from `a` to `b`, in percent")


class DifferenceSchema(Schema):
    """Listings that differ between two runs."""

    total = fields.Integer(metadata={"description": "The number of all these listings"})
    listings = fields.List(
        fields.Nested(ListedListingSchema), metadata={"description": "At most `limit` listings"}
    )


def _differences(schema: type[Schema]) -> type[Schema]:
    """Make the schema of the differences between two documents with numbers."""
    members: dict[str, Any] = {
        name: fields.Integer()
        if isinstance(field, fields.Integer)
        else share("b minus a; null if one of them is missing")
        for name, field in schema().fields.items()
    }
    return Schema.from_dict(members, name=f"{schema.__name__.removesuffix('Schema')}ChangeSchema")


class ChangeSchema(Schema):
    """The values of `b` minus the values of `a`."""

    duration_seconds = share("b minus a")
    phase_seconds = fields.Nested(_differences(PhasesSchema))
    records = fields.Nested(_differences(RunRecordsSchema))
    rates = fields.Nested(_differences(RatesSchema))
    requests = fields.Integer()
    retries = fields.Integer()
    pages_not_modified = fields.Integer()
    batches = fields.Integer()
    prices_compared = fields.Integer()
    prices_jumped = fields.Integer()


class ComparisonSchema(Schema):
    """Two runs of a source, and the differences between their listings.

    An unchanged record leaves no new observation.
    """

    a = fields.Nested(ComparedRunSchema)
    b = fields.Nested(ComparedRunSchema)
    change = fields.Nested(ChangeSchema)
    appeared = fields.Nested(
        DifferenceSchema,
        metadata={"description": "Listings that no run before `b` observed"},
    )
    vanished = fields.Nested(
        DifferenceSchema,
        allow_none=True,
        metadata={
            "description": "Listings that `a` observed and that are missing in `b`. Null unless "
            "`b` is a successful run that received the whole list of a provider, and each of its "
            "records was new: unchanged, known and rejected records do not identify their listings"
        },
    )
    not_observed_anew = fields.Nested(
        DifferenceSchema,
        metadata={
            "description": "Listings with a new observation in `a` and none in `b`: they are "
            "missing, among the unchanged, known or rejected records of `b`, or in a part of the "
            "source that `b` did not read"
        },
    )
    moved = fields.Nested(
        DifferenceSchema,
        metadata={"description": "Listings with a different price, largest changes first"},
    )
