"""Assets and their listings."""

from marshmallow import Schema, fields

from api.schemas.fields import UNITS, USD, Hex, Json, amount, instant, seconds
from shared.model.catalogue import LISTING_SOURCES
from shared.model.records import VALUES, value_time


class ValuesSchema(Schema):
    """The values of an asset; null means unknown."""

    price_usd = amount(USD, example=16610.346)
    market_cap_usd = amount(USD, example=319167492366)
    volume_24h_usd = amount(f"{USD}, over the last 24 hours", example=28350339669.37)
    circulating_supply = amount(UNITS, example=18741512)
    total_supply = amount(UNITS, example=19214994)
    max_supply = amount(UNITS, example=21000000)


class LabelsSchema(Schema):
    """The names of an asset."""

    slug = fields.String(metadata={"description": "The id of the asset", "example": "bitcoin"})
    symbol = fields.String(
        metadata={"description": "The ticker symbol; it is not unique", "example": "BTC"}
    )
    name = fields.String(metadata={"example": "Bitcoin"})


class AssetSchema(ValuesSchema, LabelsSchema):
    """One asset across all sources."""

    observed_at = instant("The newest observation, by the source's clock", nullable=True)
    source_count = fields.Integer(
        metadata={"description": "The number of sources that list the asset", "example": 3}
    )
    price_spread_percent = amount(
        "The difference between the highest and the lowest price of the fresh sources, in percent "
        "of the lowest"
    )
    divergent = fields.Boolean(
        metadata={
            "description": "Whether fresh sources disagree on price, market cap, volume or"
            " circulating supply",
            "example": False,
        }
    )
    active = fields.Boolean(
        metadata={
            "description": "Whether a source lists the asset. A delisted asset has no current "
            "values",
            "example": True,
        }
    )
    delisted_at = instant(
        "When the last source delisted it; null if a source lists it", nullable=True
    )
    version = fields.Integer(
        allow_none=True,
        metadata={
            "description": "Version of the data at the asset's last change. It rises with every "
            "change, in commit order; null with `as_of`",
            "example": 510,
        },
    )
    created_at = instant("Time of the first load")
    updated_at = instant(
        "Time of the last change; with `as_of`, the load time of the newest observation"
    )


class ChosenAssetSchema(
    AssetSchema,
    Schema.from_dict(  # type: ignore[misc]  # made from the values' names
        {
            value_time(value): instant(
                f"Observation time of `{value}`; only if `fields` requests it", nullable=True
            )
            for value in VALUES
        },
        name="ValueTimesSchema",
    ),
):
    """One asset across all sources; on request with its sources and the times of its values."""

    sources = fields.List(
        fields.String(metadata={"enum": list(LISTING_SOURCES)}),
        metadata={"description": "The sources that list it; only if `fields` requests it"},
    )


class ProvenanceSchema(Schema):
    """The origin of a value: a listing, its raw record and its run."""

    source = fields.String(metadata={"enum": list(LISTING_SOURCES)})
    external_id = fields.String(
        metadata={"description": "The source's own id", "example": "btc-bitcoin"}
    )
    observed_at = instant("Time of the observation, by the source's clock")
    payload_hash = Hex(
        metadata={
            "description": "The hash of the raw record: the first 16 bytes of its SHA-256",
            "example": "c4ad266835460f39356e2cc0bf1615b2",
        }
    )
    run_id = fields.Integer(metadata={"description": "The run that loaded it"})


class OutlierSchema(Schema):
    """A value of a fresh source that is too far from the median."""

    source = fields.String(metadata={"enum": list(LISTING_SOURCES)})
    external_id = fields.String(
        metadata={"description": "The source's own id", "example": "btc-bitcoin"}
    )
    value = amount("The value of this source", nullable=False, example=1661034.6)


class OriginSchema(ProvenanceSchema):
    """A value, its origin, and why it was chosen."""

    class Meta:
        fields = (
            *("value", "source", "external_id", "observed_at", "current", "behind_seconds"),
            *("chosen_as", "fresh_sources"),
            *("spread_percent", "divergent", "outliers", "payload_hash", "run_id", "ingested_at"),
        )

    value = amount("The value", nullable=False, example=16610.346)
    current = fields.Boolean(
        metadata={
            "description": "Whether the value is current; otherwise it is null in lists. A value is"
            " current if it was observed at most an hour before the asset's newest observation."
            " Values of delisted listings are not current",
            "example": True,
        }
    )
    behind_seconds = seconds("Its age relative to the asset's newest observation")
    chosen_as = fields.String(
        metadata={
            "description": "Why this value was chosen: the `median` of three or more fresh "
            "sources, the value of the `most_trusted` of two, or of the `only` one; or the "
            "`last_known` value, if no value is current",
            "enum": ["median", "most_trusted", "only", "last_known"],
        }
    )
    fresh_sources = fields.Integer(
        metadata={
            "description": "The number of sources with a current value, including outliers",
            "example": 3,
        }
    )
    spread_percent = amount(
        "The difference between the highest and the lowest value of these sources, in percent of "
        "the lowest; null if there is only one"
    )
    divergent = fields.Boolean(
        metadata={"description": "Whether the spread exceeds the limit for this value"}
    )
    outliers = fields.List(
        fields.Nested(OutlierSchema),
        metadata={"description": "The values that were excluded as too far from the median"},
    )
    ingested_at = instant("Load time of the raw record")


class ListingNameSchema(Schema):
    """A present or former name of a listing."""

    symbol = fields.String(metadata={"example": "LUNA"})
    name = fields.String(metadata={"example": "Terra"})
    first_observed_at = instant("The first observation with this name, by the source's clock")


class ListingSchema(ProvenanceSchema, ValuesSchema):
    """The asset as one source knows it, and the evidence for the match."""

    symbol = fields.String(metadata={"example": "BTC"})
    name = fields.String(metadata={"example": "Bitcoin"})
    active = fields.Boolean(metadata={"description": "Whether its source lists it"})
    delisted_at = instant("When its source delisted it; null if it is listed", nullable=True)
    names = fields.List(
        fields.Nested(ListingNameSchema),
        metadata={"description": "All names that it has had, oldest first"},
    )
    contracts = fields.List(
        fields.String(metadata={"example": "ethereum:0xc669928185dbce49d2230cc9b0979be6dc797957"}),
        metadata={
            "description": "Its contracts as its source gives them, each with its chain; with"
            " `as_of`, those that are known now"
        },
    )
    match_method = fields.String(
        metadata={"description": "How it was matched to the asset", "example": "symbol_and_name"}
    )
    match_score = amount("Confidence of the match, from 0 to 1", nullable=False, example=0.9)
    match_evidence = Json(
        metadata={
            "description": "The evidence for the match",
            "example": {"name": "bitcoin", "symbol": "btc"},
        }
    )


class AssetDetailSchema(AssetSchema):
    """One asset with its listings and the origin of every value."""

    provenance = fields.Nested(
        Schema.from_dict(
            {value: fields.Nested(ProvenanceSchema, allow_none=True) for value in VALUES},
            name="ProvenanceByValueSchema",
        ),
        metadata={"description": "The origin of each current value"},
    )
    values = fields.Nested(
        Schema.from_dict(
            {value: fields.Nested(OriginSchema, allow_none=True) for value in VALUES},
            name="OriginByValueSchema",
        ),
        metadata={
            "description": "Each value with its origin and the reason for its choice. If no value"
            " is current, the last known one; null if it is unknown"
        },
    )
    listings = fields.List(fields.Nested(ListingSchema))


class AssetChangeSchema(Schema):
    """A change of one asset: its present state, or its removal."""

    version = fields.Integer(metadata={"description": "The version of the change"})
    slug = fields.String(metadata={"example": "bitcoin"})
    removed = fields.Boolean(metadata={"description": "Whether the asset was removed"})
    asset = fields.Nested(
        AssetSchema, allow_none=True, metadata={"description": "Null if it was removed"}
    )
