"""Price trends of assets over the last seven days."""

from marshmallow import fields

from api.schemas.assets import LabelsSchema
from api.schemas.fields import USD, amount, instant


class TrendSchema(LabelsSchema):
    """An asset's price, its changes in percent, and a sparkline of seven days."""

    price_usd = amount(USD, example=16610.346)
    price_observed_at = instant("Observation time of the price", nullable=True)
    observed_at = instant(
        "The asset's newest observation; changes and points are counted back from it",
        nullable=True,
    )
    change_24h_percent = amount(
        "The change of the price since 24 hours before `observed_at`; null if no price was "
        "observed within an hour before that instant, or if that price is 0"
    )
    change_7d_percent = amount("The same since 7 days before `observed_at`")
    sparkline_7d = fields.List(
        amount("The price at an instant; null if none was observed in the 4 hours before it"),
        metadata={
            "description": "The prices at 42 instants, 4 hours apart, oldest first; the last "
            "instant is `observed_at`",
            "minItems": 42,
            "maxItems": 42,
            "example": [None] * 40 + [16580, 16610.346],
        },
    )
