"""Identity reviews. The names in them are the sources' own."""

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
    delisted_at = instant("Since when its source does not list it", nullable=True)
    contracts = fields.List(
        fields.String(metadata={"example": "ethereum:0xc669928185dbce49d2230cc9b0979be6dc797957"}),
        metadata={"description": "Its contracts as its source gives them, each with its chain"},
    )


class DecisionSchema(Schema):
    """What a person decided."""

    id = fields.Integer(metadata={"example": 1})
    same = fields.Boolean(
        metadata={"description": "Whether both are one coin, or two", "example": True}
    )
    decided_by = fields.String(metadata={"example": "ada"})
    reason = fields.String(metadata={"example": "its team says so"})
    decided_at = instant()


class CommandsSchema(Schema):
    """The worker's commands that decide on the pair; the reason is to be filled in."""

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
    """A pair of listings that a person should decide, or has decided."""

    open = fields.Boolean(metadata={"description": "Whether it waits for a decision"})
    since = instant("When it was found as it is now, or when it was decided")
    method = fields.String(
        allow_none=True,
        metadata={
            "description": "By what the two would be, or are, linked; this and the next four are "
            "null where the evidence of a decided pair is not kept",
            "example": "symbol_and_name",
        },
    )
    verdict = fields.String(
        allow_none=True,
        metadata={
            "description": "Whether they are linked at present",
            "enum": ["review", "linked", None],
        },
    )
    score = share("How strong the evidence is, from 0 to 1")
    prices = fields.String(
        allow_none=True,
        metadata={
            "description": "How their prices compare",
            "enum": ["agree", "differ", "unknown", "disputed", None],
        },
    )
    evidence = Json(
        allow_none=True,
        metadata={
            "description": "What speaks for and against it; `why` is the reason against a link",
            "example": {"names": "same name", "prices": "differ", "why": "prices_differ"},
        },
    )
    one = fields.Nested(ReviewedListingSchema)
    other = fields.Nested(ReviewedListingSchema)
    decision = fields.Nested(DecisionSchema, allow_none=True)
    commands = fields.Nested(CommandsSchema)
