"""What the route takes that shows an asset's raw records."""

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
        metadata={"description": "Only what this source sent.", "example": LISTING_SOURCES[0]},
    )
    external_id = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.Length(1, 300),
        metadata={
            "description": "Only of the listing with this id, which is the source's own.",
            "example": "bitcoin",
        },
    )
    hash = Hash(
        load_default=None,
        allow_none=False,
        metadata={
            "description": "The raw record with this `payload_hash`, though it be of an earlier "
            "time, instead of the newest.",
            "example": "c4ad266835460f39356e2cc0bf1615b2",
        },
    )
    observed_at = time(
        "The raw records of this instant (RFC 3339, with its zone), instead of the newest. With "
        "`hash` it is the quickest way to one: what names a hash gives both."
    )
