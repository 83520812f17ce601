"""CoinGecko's market list, in US dollars.

Docs: https://docs.coingecko.com/reference/coins-markets (10 000 calls a month on the demo plan; the
limit per minute differs between documents, and failed calls count).

The response has no total. The list ends with an empty page, which costs one additional request. A
page that is not full does not end it, because a provider may cap `per_page`. With `market_cap_desc`
coins would move between pages during a run; with `id_asc` they do not. `precision=full` returns all
digits instead of rounded values. A market cap or supply of 0 is unverified. Nearly every other
value can be null.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

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
from worker.sources.json.paging import short_pages_entry

PER_PAGE = 250
ABOUT_ALL = 17_000
"""Approximate number of assets, used until one pass was read."""

PLANS = {
    None: ("https://api.coingecko.com/api/v3", None),
    "demo": ("https://api.coingecko.com/api/v3", "x-cg-demo-api-key"),
    "pro": ("https://pro-api.coingecko.com/api/v3", "x-cg-pro-api-key"),
}
"""Base URL and name of the key's header, by plan; None is keyless."""


class MarketSchema(RecordSchema):
    """One element of `/coins/markets`. The values of a coin without a market are null."""

    external_id = StrippedString(data_key="id", required=True, validate=NOT_EMPTY)
    symbol = StrippedString(required=True, validate=MAYBE_EMPTY)
    name = StrippedString(required=True, validate=NOT_EMPTY)
    observed_at = Instant(data_key="last_updated", required=True)
    price_usd = Amount(data_key="current_price", required=True)
    market_cap_usd = Amount(
        data_key="market_cap", required=True, zero_is_unknown=True, is_optional=True
    )
    volume_24h_usd = Amount(data_key="total_volume", required=True, is_optional=True)
    circulating_supply = Amount(required=True, zero_is_unknown=True, is_optional=True)
    total_supply = Amount(required=True, zero_is_unknown=True, is_optional=True)
    max_supply = Amount(required=True, zero_is_unknown=True, is_optional=True)


@dataclass(frozen=True, kw_only=True)
class Coingecko(JsonApi):
    name = "coingecko"
    schema: ClassVar = MarketSchema()
    drift_policy: ClassVar = {"current_price": Policy.FAIL}

    page_size = PER_PAGE

    requests_per_month: int = 10_000
    plan: str | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Coingecko":
        provider = settings.providers["coingecko"]
        base_url, _ = PLANS[provider.plan]
        return cls(
            base_url=provider.base_url or base_url,
            api_key=provider.api_key,
            plan=provider.plan,
            requests_per_minute=provider.requests_per_minute,
            requests_per_month=provider.requests_per_month,
        )

    def request(self, cursor: Cursor | None) -> Request:
        _, header = PLANS[self.plan]
        return Request(
            self.url("/coins/markets"),
            {
                "vs_currency": "usd",
                "order": "id_asc",
                "per_page": str(PER_PAGE),
                "page": str(self.page_number(cursor)),
                "precision": "full",
            },
            {header: self.api_key} if header and self.api_key else {},
        )

    def requests_a_pass(self, records: int) -> int:
        return math.ceil((records or ABOUT_ALL) / PER_PAGE) + 1

    def next_cursor(self, cursor: Cursor | None, count: int) -> Cursor | None:
        if not count:
            return None
        following = {"page": self.page_number(cursor) + 1}
        return {**following, **short_pages_entry(cursor, PER_PAGE, count)}
