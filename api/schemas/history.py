"""An asset's history: observations, or candles."""

from marshmallow import fields

from api.schemas.assets import ProvenanceSchema, ValuesSchema
from api.schemas.fields import USD, amount, instant
from shared.model.catalogue import SOURCES


class ObservationSchema(ValuesSchema, ProvenanceSchema):
    """The values that one raw record reports for one listing at one instant."""

    ingested_at = instant("Load time")
    superseded_at = instant(
        "When a later record of the same listing and instant replaced it; null if it counts",
        nullable=True,
    )


class CandleSchema(ValuesSchema):
    """The observations of one interval. Without observations, counts are 0 and values null."""

    class Meta:
        fields = (
            *("start", "open_usd", "high_usd", "low_usd", "close_usd", "sample_count", "sources"),
            *("volume_24h_usd", "first_observed_at", "last_observed_at"),
        )

    start = instant("The start of the interval (inclusive); it ends at the start of the next one")
    open_usd = amount(f"The first price, in {USD}", example=16600.1)
    high_usd = amount(f"The highest price, in {USD}", example=16700.25)
    low_usd = amount(f"The lowest price, in {USD}", example=16580)
    close_usd = amount(f"The last price, in {USD}", example=16610.346)
    sample_count = fields.Integer(
        metadata={"description": "The number of observations with a price", "example": 36}
    )
    sources = fields.List(
        fields.String(metadata={"enum": list(SOURCES)}),
        metadata={"description": "The sources of these observations"},
    )
    volume_24h_usd = amount(
        f"The last known volume of the previous 24 hours, in {USD}. It is not the volume of the"
        " interval. Null if it was observed more than an hour before the last price",
        example=28350339669.37,
    )
    first_observed_at = instant("Time of the first observation", nullable=True)
    last_observed_at = instant("Time of the last observation", nullable=True)
