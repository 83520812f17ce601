"""What two runs differ in."""

from typing import Any

from marshmallow import Schema, fields

from api.schemas.fields import share
from api.schemas.runs import ComparedRunSchema, PhasesSchema, RatesSchema, RunRecordsSchema


class ListedListingSchema(Schema):
    """A listing that one run observed, or both did."""

    asset = fields.String(metadata={"description": "The slug of its asset", "example": "bitcoin"})
    external_id = fields.String(
        metadata={"description": "The source's own id", "example": "bitcoin"}
    )
    symbol = fields.String(metadata={"example": "BTC"})
    name = fields.String(metadata={"example": "Bitcoin"})
    price_usd_a = share("In US dollars, as run `a` observed it last")
    price_usd_b = share("In US dollars, as run `b` observed it last")
    percent = share("How far the price moved from `a` to `b`")


class DifferenceSchema(Schema):
    """Listings in which two runs differ."""

    total = fields.Integer(metadata={"description": "How many there are"})
    listings = fields.List(
        fields.Nested(ListedListingSchema), metadata={"description": "At most `limit` of them"}
    )


def _differences(schema: type[Schema]) -> type[Schema]:
    """Make the schema of the differences between two documents of numbers."""
    members: dict[str, Any] = {
        name: fields.Integer()
        if isinstance(field, fields.Integer)
        else share("b less a; null where one of them has none")
        for name, field in schema().fields.items()
    }
    return Schema.from_dict(members, name=f"{schema.__name__.removesuffix('Schema')}ChangeSchema")


class ChangeSchema(Schema):
    """What `b` has more than `a`; with a minus sign what it has less."""

    duration_seconds = share("b less a")
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
    """Two runs of a source side by side, and what they observed differently.

    A record that is unchanged leaves no observation: it is not observed anew.
    """

    a = fields.Nested(ComparedRunSchema)
    b = fields.Nested(ComparedRunSchema)
    change = fields.Nested(ChangeSchema)
    appeared = fields.Nested(
        DifferenceSchema,
        metadata={"description": "Listings that `b` was the first of all runs to observe"},
    )
    vanished = fields.Nested(
        DifferenceSchema,
        allow_none=True,
        metadata={
            "description": "Listings that `a` observed and that are gone in `b`; null where `b` "
            "had unchanged or known records, which do not say of which listings they are"
        },
    )
    not_observed_anew = fields.Nested(
        DifferenceSchema,
        metadata={
            "description": "Listings that `a` observed anew and `b` did not: they are gone, or "
            "were among the records that `b` found unchanged or known"
        },
    )
    moved = fields.Nested(
        DifferenceSchema,
        metadata={"description": "Listings with another price, the biggest moves first"},
    )
