"""What the route takes that shows an asset's raw records."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, post_load, validate

from api.parameters import QueryString
from shared.settings import LISTING_SOURCES

NO_HASH = "not a hash; expected 32 hexadecimal digits, in lower case"


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
    hash = fields.String(
        load_default=None,
        allow_none=False,
        validate=validate.And(
            validate.Length(equal=32, error=NO_HASH), validate.Regexp("^[0-9a-f]+$", error=NO_HASH)
        ),
        metadata={
            "description": "The raw record with this `payload_hash`, though it be of an earlier "
            "time, instead of the newest.",
            "example": "c4ad266835460f39356e2cc0bf1615b2",
        },
    )

    @post_load
    def read_the_hash(self, loaded: dict[str, Any], **_: Any) -> Mapping[str, Any]:
        """Turn the digits into bytes."""
        return {**loaded, "hash": loaded["hash"] and bytes.fromhex(loaded["hash"])}
