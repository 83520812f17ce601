"""CoinGecko's list of coins, with the contracts of each.

Docs: https://docs.coingecko.com/reference/coins-list (one response has every active coin; cached 5
minutes on paid plans, 30 on others). `platforms` maps platforms to addresses. A coin of its own
chain has none, or an empty address under an empty name. A coin that is removed from the list keeps
its contracts, so that a new id with the same contracts is recognised as the old coin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from shared.model.records import Claim, Cursor
from shared.settings import Settings
from worker.sources.base import Policy, Request
from worker.sources.chains import contracts_on
from worker.sources.coingecko import PLANS, Coingecko
from worker.sources.contract_list import Addresses, ContractList
from worker.sources.fields import MAYBE_EMPTY, NOT_EMPTY, RecordSchema, StrippedString


class CoinSchema(RecordSchema):
    """One element of `/coins/list`. Symbol and name of old coins can be null."""

    external_id = StrippedString(data_key="id", required=True, validate=NOT_EMPTY)
    symbol = StrippedString(required=True, allow_none=True, validate=MAYBE_EMPTY)
    name = StrippedString(required=True, allow_none=True, validate=MAYBE_EMPTY)
    platforms = Addresses(required=True)


@dataclass(frozen=True, kw_only=True)
class CoingeckoCoins(ContractList):
    name = "coingecko_coins"
    listed_by = "coingecko"
    schema: ClassVar = CoinSchema()
    drift_policy: ClassVar = {"platforms": Policy.FAIL}

    requests_per_month: int = Coingecko.requests_per_month
    plan: str | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "CoingeckoCoins":
        market = Coingecko.from_settings(settings)
        return cls(
            base_url=market.base_url,
            api_key=market.api_key,
            plan=market.plan,
            requests_per_minute=market.requests_per_minute,
            requests_per_month=market.requests_per_month,
        )

    def request(self, cursor: Cursor | None) -> Request:  # noqa: ARG002
        _, header = PLANS[self.plan]
        return Request(
            self.url("/coins/list"),
            {"include_platform": "true"},
            {header: self.api_key} if header and self.api_key else {},
        )

    def next_cursor(self, cursor: Cursor | None, count: int) -> Cursor | None:  # noqa: ARG002
        return None

    def received(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace `platforms` by its addresses: names of platforms are data, not fields."""
        platforms = document.get("platforms")
        if not isinstance(platforms, dict):
            return document
        return {**document, "platforms": list(platforms.values())}

    def claim(self, document: Mapping[str, Any], fetched_at: datetime) -> Claim:
        loaded = self.schema.load(document)
        coin = loaded["external_id"]
        contracts = contracts_on(self.listed_by, loaded["platforms"])
        return Claim(coin, fetched_at, coin=coin, contracts=contracts)
