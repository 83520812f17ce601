"""Parameters of the route that shows an asset's raw records."""

from marshmallow import fields, validate

from api.parameters import QueryString
from api.parameters.fields import Hash
from api.parameters.moment import time
from shared.model.catalogue import LISTING_SOURCES


class RawParameters(QueryString):
    """Parameters of `GET /data/{asset}/raw`."""

    source = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.OneOf(LISTING_SOURCES),
        metadata={
            "description": "Only raw records of this source.",
            "example": LISTING_SOURCES[0],
        },
    )
    external_id = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 300),
        metadata={
            "description": "Only raw records of the listing with this id of the source.",
            "example": "bitcoin",
        },
    )
    hash = Hash(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "The raw record with this `payload_hash`, of any time, instead of the "
            "newest.",
            "example": "c4ad266835460f39356e2cc0bf1615b2",
        },
    )
    observed_at = time(
        "The raw records of this instant (RFC 3339, with its offset), instead of the newest. "
        "Together with `hash` it identifies one record, and is faster than `hash` alone."
    )
