"""How the price of an asset moved over the last seven days."""

from marshmallow import fields

from api.schemas.assets import LabelsSchema
from api.schemas.fields import USD, amount, instant


class TrendSchema(LabelsSchema):
    """An asset's price, its changes in percent, and its last seven days in points of 4 hours."""

    price_usd = amount(USD, example=16610.346)
    price_observed_at = instant("When the price was observed", nullable=True)
    observed_at = instant(
        "The asset's newest observation, which the changes and the points are counted from",
        nullable=True,
    )
    change_24h_percent = amount(
        "Change of the price against that of 24 hours before `observed_at`; null without a price "
        "observed at most an hour before that instant, or if that price is 0"
    )
    change_7d_percent = amount("Likewise against 7 days before")
    sparkline_7d = fields.List(
        amount("The price at an instant; null where none was observed in the 4 hours before it"),
        metadata={
            "description": "The prices at 42 instants, 4 hours apart, the oldest first; the last "
            "instant is `observed_at`",
            "minItems": 42,
            "maxItems": 42,
            "example": [None] * 40 + [16580, 16610.346],
        },
    )
