"""CoinPaprika's tickers, in US dollars.

Docs: https://api.coinpaprika.com/#operation/getTickers (free: no key, 20 000 calls a month, about
2000 assets in one response, refreshed every 5 to 10 minutes). 0 means an unknown supply or market
cap. `percent_change_30d` and `_1y` are 0 if the plan lacks them, and are not read.

The key of a paid plan is the whole `Authorization` header, without `Bearer`. The provider's API
description ("Authorization: <api-key>"), its reference, its JavaScript client and the Chainlink
adapters agree on that. 402 means that the plan does not cover the call, 403 an invalid key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import fields, post_load

from shared.model.records import Cursor
from shared.settings import Settings
from worker.sources.base import Policy, Request
from worker.sources.fields import (
    MAYBE_EMPTY,
    NOT_EMPTY,
    Amount,
    Instant,
    RecordSchema,
    StrippedString,
)
from worker.sources.json.api import JsonApi

FREE_URL = "https://api.coinpaprika.com/v1"
PRO_URL = "https://api-pro.coinpaprika.com/v1"


class QuoteSchema(RecordSchema):
    """The quote in one currency."""

    price_usd = Amount(data_key="price", required=True, zero_is_unknown=True)
    market_cap_usd = Amount(
        data_key="market_cap", required=True, zero_is_unknown=True, is_optional=True
    )
    volume_24h_usd = Amount(data_key="volume_24h", required=True, is_optional=True)


class QuotesSchema(RecordSchema):
    """Quotes by currency; only US dollars are read."""

    usd = fields.Nested(QuoteSchema, data_key="USD", required=True)


class TickerSchema(RecordSchema):
    """One element of `/tickers`. `circulating_supply` was removed after 2022."""

    external_id = StrippedString(data_key="id", required=True, validate=NOT_EMPTY)
    symbol = StrippedString(required=True, validate=MAYBE_EMPTY)
    name = StrippedString(required=True, validate=NOT_EMPTY)
    observed_at = Instant(data_key="last_updated", required=True)
    circulating_supply = Amount(zero_is_unknown=True, is_optional=True)
    total_supply = Amount(required=True, zero_is_unknown=True, is_optional=True)
    max_supply = Amount(required=True, zero_is_unknown=True, is_optional=True)
    quotes = fields.Nested(QuotesSchema, required=True)

    @post_load
    def flatten(self, loaded: dict[str, Any], **_: Any) -> Mapping[str, Any]:
        return {**loaded.pop("quotes")["usd"], **loaded}


@dataclass(frozen=True, kw_only=True)
class Coinpaprika(JsonApi):
    name = "coinpaprika"
    schema: ClassVar = TickerSchema()
    drift_policy: ClassVar = {"circulating_supply": Policy.ACCEPT, "quotes.USD.price": Policy.FAIL}

    requests_per_month: int = 20_000

    @classmethod
    def from_settings(cls, settings: Settings) -> "Coinpaprika":
        provider = settings.providers["coinpaprika"]
        return cls(
            base_url=provider.base_url or (PRO_URL if provider.api_key else FREE_URL),
            api_key=provider.api_key,
            requests_per_minute=provider.requests_per_minute,
            requests_per_month=provider.requests_per_month,
        )

    def request(self, cursor: Cursor | None) -> Request:  # noqa: ARG002
        headers = {"Authorization": self.api_key} if self.api_key else {}
        return Request(self.url("/tickers"), {"quotes": "USD"}, headers)

    def next_cursor(self, cursor: Cursor | None, count: int) -> Cursor | None:  # noqa: ARG002
        return None
