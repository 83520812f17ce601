"""Assets and their listings."""

from marshmallow import Schema, fields

from api.schemas.fields import UNITS, USD, Hex, Json, amount, instant, seconds
from shared.model.catalogue import LISTING_SOURCES
from shared.model.records import VALUES, value_time


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
    active = fields.Boolean(
        metadata={
            "description": "Whether a source still lists it; of one that none lists any more no "
            "value is current",
            "example": True,
        }
    )
    delisted_at = instant("Since when no source lists it; null while one does", nullable=True)
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


class ChosenAssetSchema(
    AssetSchema,
    Schema.from_dict(  # type: ignore[misc]  # made of the values' names
        {
            value_time(value): instant(f"When `{value}` was observed; with `fields`", nullable=True)
            for value in VALUES
        },
        name="ValueTimesSchema",
    ),
):
    """One asset across all sources, and on request which those are and when each was observed."""

    sources = fields.List(
        fields.String(metadata={"enum": list(LISTING_SOURCES)}),
        metadata={"description": "The sources that list it; with `fields`"},
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

    class Meta:
        fields = (
            *("value", "source", "external_id", "observed_at", "current", "behind_seconds"),
            *("chosen_as", "fresh_sources"),
            *("spread_percent", "divergent", "outliers", "payload_hash", "run_id", "ingested_at"),
        )

    value = amount("The value", nullable=False, example=16610.346)
    current = fields.Boolean(
        metadata={
            "description": "Whether it is the asset's value now. One that is not is null in every"
            " list: its listing is older than the asset's newest observation by more than an hour,"
            " or is delisted",
            "example": True,
        }
    )
    behind_seconds = seconds("How much older it is than the asset's newest observation")
    chosen_as = fields.String(
        metadata={
            "description": "Why it is this one: the `median` of three or more fresh sources, what "
            "the `most_trusted` of two says, or the `only` one; or the `last_known`, which is not "
            "current",
            "enum": ["median", "most_trusted", "only", "last_known"],
        }
    )
    fresh_sources = fields.Integer(
        metadata={
            "description": "How many sources told it no more than an hour before the asset's "
            "newest observation, outliers included",
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
    active = fields.Boolean(metadata={"description": "Whether its source still lists it"})
    delisted_at = instant("Since when it does not; null while it does", nullable=True)
    names = fields.List(
        fields.Nested(ListingNameSchema),
        metadata={"description": "All that it was ever called, the oldest first"},
    )
    contracts = fields.List(
        fields.String(metadata={"example": "ethereum:0xc669928185dbce49d2230cc9b0979be6dc797957"}),
        metadata={
            "description": "Its contracts as its source gives them, each with its chain; with"
            " `as_of`, those that are known now"
        },
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
            "description": "For each value all that answers why it is this one, or where none is"
            " current the last that is known; null is unknown"
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
