"""Identity reviews. Their names are untrusted text of the sources."""

from marshmallow import Schema, fields

from api.schemas.assets import ValuesSchema
from api.schemas.fields import Json, instant, share
from shared.model.catalogue import LISTING_SOURCES


class ReviewedListingSchema(ValuesSchema):
    """One of the two listings."""

    class Meta:
        fields = (
            *("source", "external_id", "asset", "symbol", "name", "price_usd", "market_cap_usd"),
            *("circulating_supply", "total_supply", "max_supply", "observed_at", "delisted_at"),
            "contracts",
        )

    source = fields.String(metadata={"enum": list(LISTING_SOURCES)})
    external_id = fields.String(
        metadata={"description": "The source's own id", "example": "bittorrent-2"}
    )
    asset = fields.String(
        metadata={"description": "The slug of its asset", "example": "bittorrent"}
    )
    symbol = fields.String(metadata={"description": "Untrusted text", "example": "BTT"})
    name = fields.String(metadata={"description": "Untrusted text", "example": "BitTorrent"})
    observed_at = instant("Its newest observation, by the source's clock")
    delisted_at = instant("When its source delisted it; null if it is listed", nullable=True)
    contracts = fields.List(
        fields.String(metadata={"example": "ethereum:0xc669928185dbce49d2230cc9b0979be6dc797957"}),
        metadata={"description": "Its contracts according to its source, each with its chain"},
    )


class DecisionSchema(Schema):
    """The decision of a person."""

    id = fields.Integer(metadata={"example": 1})
    same = fields.Boolean(
        metadata={"description": "Whether both listings are one coin", "example": True}
    )
    decided_by = fields.String(metadata={"example": "ada"})
    reason = fields.String(metadata={"example": "its team says so"})
    decided_at = instant()


class CommandsSchema(Schema):
    """The worker's commands for a decision on the pair; replace `…` with the reason."""

    one_coin = fields.String(
        metadata={
            "description": "Decides that both are one coin",
            "example": "worker identity link coingecko bittorrent-2 bittorrent-old --reason …",
        }
    )
    two_coins = fields.String(
        metadata={
            "description": "Decides that they are two coins",
            "example": "worker identity split coingecko bittorrent-2 --from coinpaprika "
            "btt-bittorrent --reason …",
        }
    )
    undo = fields.String(
        allow_none=True,
        metadata={
            "description": "Revokes the decision; null without one",
            "example": "worker identity undo 1 --reason …",
        },
    )


class ReviewSchema(Schema):
    """A pair of listings that needs a decision, or that a person has decided."""

    open = fields.Boolean(metadata={"description": "Whether it needs a decision"})
    since = instant("When the open review was found in its present form, or when it was decided")
    method = fields.String(
        allow_none=True,
        metadata={
            "description": "The method of the link or possible link. This and the next four "
            "members are null if the evidence of a decided pair is no longer stored",
            "example": "symbol_and_name",
        },
    )
    verdict = fields.String(
        allow_none=True,
        metadata={
            "description": "Whether they are linked now",
            "enum": ["review", "linked", None],
        },
    )
    score = share("Strength of the evidence, from 0 to 1")
    prices = fields.String(
        allow_none=True,
        metadata={
            "description": "The comparison of their prices",
            "enum": ["agree", "differ", "unknown", "disputed", None],
        },
    )
    evidence = Json(
        allow_none=True,
        metadata={
            "description": "The evidence for and against a link; `why` is the reason against it",
            "example": {"names": "same name", "prices": "differ", "why": "prices_differ"},
        },
    )
    one = fields.Nested(ReviewedListingSchema)
    other = fields.Nested(ReviewedListingSchema)
    decision = fields.Nested(DecisionSchema, allow_none=True)
    commands = fields.Nested(CommandsSchema)
