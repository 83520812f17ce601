"""An asset's history: observations, or candles."""

from marshmallow import fields

from api.schemas.assets import ProvenanceSchema, ValuesSchema
from api.schemas.fields import USD, amount, instant
from shared.model.catalogue import SOURCES


class ObservationSchema(ValuesSchema, ProvenanceSchema):
    """What one raw record says of one listing at one instant."""

    ingested_at = instant("When it was loaded")
    superseded_at = instant(
        "When another record of its listing and instant was received after it, which counts in its"
        " place; null of one that counts",
        nullable=True,
    )


class CandleSchema(ValuesSchema):
    """What was observed in one interval; where that is nothing, counts are 0 and values null."""

    class Meta:
        fields = (
            *("start", "open_usd", "high_usd", "low_usd", "close_usd", "sample_count", "sources"),
            *("volume_24h_usd", "first_observed_at", "last_observed_at"),
        )

    start = instant("Where the interval begins, which belongs to it; it ends where the next begins")
    open_usd = amount(f"The first price, in {USD}", example=16600.1)
    high_usd = amount(f"The highest price, in {USD}", example=16700.25)
    low_usd = amount(f"The lowest price, in {USD}", example=16580)
    close_usd = amount(f"The last price, in {USD}", example=16610.346)
    sample_count = fields.Integer(
        metadata={"description": "How many observations with a price there are", "example": 36}
    )
    sources = fields.List(
        fields.String(metadata={"enum": list(SOURCES)}),
        metadata={"description": "Which sources they are of"},
    )
    volume_24h_usd = amount(
        f"The last one known, in {USD}: it rolls over the 24 hours before, and is no sum of these."
        " Null where it was observed more than an hour before the last price",
        example=28350339669.37,
    )
    first_observed_at = instant("The source's time of the first of them", nullable=True)
    last_observed_at = instant("The source's time of the last of them", nullable=True)
