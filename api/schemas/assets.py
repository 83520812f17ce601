"""Assets and their listings."""

from marshmallow import Schema, fields

from api.schemas.fields import UNITS, USD, Hex, Json, amount, instant
from shared.records import VALUES
from shared.settings import LISTING_SOURCES


class ValuesSchema(Schema):
    """What is known of an asset; null is unknown."""

    price_usd = amount(USD, example=16610.346)
    market_cap_usd = amount(USD, example=319167492366)
    volume_24h_usd = amount(f"{USD}, over the last 24 hours", example=28350339669.37)
    circulating_supply = amount(UNITS, example=18741512)
    total_supply = amount(UNITS, example=19214994)
    max_supply = amount(UNITS, example=21000000)


class LabelsSchema(Schema):
    """What an asset is called."""

    slug = fields.String(metadata={"description": "Our name for it in URLs", "example": "bitcoin"})
    symbol = fields.String(
        metadata={"description": "Its label, not unique and never a key", "example": "BTC"}
    )
    name = fields.String(metadata={"example": "Bitcoin"})


class AssetSchema(ValuesSchema, LabelsSchema):
    """One asset across all sources."""

    observed_at = instant("When its newest listing was observed, by the source", nullable=True)
    source_count = fields.Integer(
        metadata={"description": "How many sources list it", "example": 3}
    )
    price_spread_percent = amount("How far the fresh sources' prices lie apart, of the lowest")
    divergent = fields.Boolean(
        metadata={
            "description": "Whether fresh sources disagree on price, market cap, volume or"
            " circulating supply",
            "example": False,
        }
    )
    version = fields.Integer(
        allow_none=True,
        metadata={
            "description": "Rises with every change, in commit order; null with `as_of`",
            "example": 510,
        },
    )
    created_at = instant("When it was first loaded")
    updated_at = instant(
        "When its values last changed; with `as_of`, when the newest of them was loaded"
    )


class ProvenanceSchema(Schema):
    """Where a value comes from: a listing, and the raw record and run behind it."""

    source = fields.String(metadata={"enum": list(LISTING_SOURCES)})
    external_id = fields.String(
        metadata={"description": "The source's own id", "example": "btc-bitcoin"}
    )
    observed_at = instant("The source's time of the observation")
    payload_hash = Hex(
        metadata={
            "description": "Of the raw record: the first 16 bytes of SHA-256",
            "example": "c4ad266835460f39356e2cc0bf1615b2",
        }
    )
    run_id = fields.Integer(metadata={"description": "The run that loaded it"})


class OutlierSchema(Schema):
    """What a fresh source says of a value that lies too far from the median."""

    source = fields.String(metadata={"enum": list(LISTING_SOURCES)})
    external_id = fields.String(
        metadata={"description": "The source's own id", "example": "btc-bitcoin"}
    )
    value = amount("What it says", nullable=False, example=1661034.6)


class OriginSchema(ProvenanceSchema):
    """A value, where it comes from, and why it is this one."""

    class Meta:  # noqa: D106  marshmallow's way to say it
        fields = (
            *("value", "source", "external_id", "observed_at", "chosen_as", "fresh_sources"),
            *("spread_percent", "divergent", "outliers", "payload_hash", "run_id", "ingested_at"),
        )

    value = amount("The value", nullable=False, example=16610.346)
    chosen_as = fields.String(
        metadata={
            "description": "Why it is this one: the `median` of three or more fresh sources, what "
            "the `most_trusted` of two says, or the `only` one",
            "enum": ["median", "most_trusted", "only"],
        }
    )
    fresh_sources = fields.Integer(
        metadata={
            "description": "How many sources told it no more than an hour before the newest of "
            "them, outliers included",
            "example": 3,
        }
    )
    spread_percent = amount("How far those lie apart, of the lowest; null of one alone")
    divergent = fields.Boolean(
        metadata={"description": "Whether that is further than sources of this value should"}
    )
    outliers = fields.List(
        fields.Nested(OutlierSchema),
        metadata={"description": "Those of them that were left out, too far from the median"},
    )
    ingested_at = instant("When its raw record was loaded")


class ListingNameSchema(Schema):
    """What a source calls or called a listing."""

    symbol = fields.String(metadata={"example": "LUNA"})
    name = fields.String(metadata={"example": "Terra"})
    first_observed_at = instant("The earliest observation under this name, by the source's time")


class ListingSchema(ProvenanceSchema, ValuesSchema):
    """The asset as one source knows it, and why it is taken for this asset."""

    symbol = fields.String(metadata={"example": "BTC"})
    name = fields.String(metadata={"example": "Bitcoin"})
    names = fields.List(
        fields.Nested(ListingNameSchema),
        metadata={"description": "All that it was ever called, the oldest first"},
    )
    match_method = fields.String(
        metadata={"description": "How it was matched with the asset", "example": "symbol_and_name"}
    )
    match_score = amount("How sure the match is, from 0 to 1", nullable=False, example=0.9)
    match_evidence = Json(
        metadata={
            "description": "What the match rests on",
            "example": {"name": "bitcoin", "symbol": "btc"},
        }
    )


class AssetDetailSchema(AssetSchema):
    """One asset, each source's view of it, and the origin of every value."""

    provenance = fields.Nested(
        Schema.from_dict(
            {value: fields.Nested(ProvenanceSchema, allow_none=True) for value in VALUES},
            name="ProvenanceByValueSchema",
        ),
        metadata={"description": "For each value the listing that it is taken from"},
    )
    values = fields.Nested(
        Schema.from_dict(
            {value: fields.Nested(OriginSchema, allow_none=True) for value in VALUES},
            name="OriginByValueSchema",
        ),
        metadata={
            "description": "For each value all that answers why it is this one; null is unknown"
        },
    )
    listings = fields.List(fields.Nested(ListingSchema))


class AssetChangeSchema(Schema):
    """A change of one asset: as it is now, or that it is gone."""

    version = fields.Integer(metadata={"description": "The asset's, or of its removal"})
    slug = fields.String(metadata={"example": "bitcoin"})
    removed = fields.Boolean(metadata={"description": "Whether it is gone"})
    asset = fields.Nested(
        AssetSchema, allow_none=True, metadata={"description": "Null where it is gone"}
    )
