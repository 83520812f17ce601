"""CoinPaprika's contracts, platform by platform.

Docs: https://docs.coinpaprika.com/api-reference/contracts (on every plan). `/contracts` lists the
platforms, `/contracts/{platform}` the contracts on one: address, id of the coin, and type. The
provider's command line also shows `active`, which its API description does not mention. If it is
present and false, the contract is ignored.

A record does not name its platform, so it is stored as `{"platform": …, "contract": {…}}`. The
cursor is a platform, and platforms are read in alphabetical order. A listed platform without a
response of its own (404) has no contracts. A contract that a newer response assigns to another coin
belongs to that coin only. A contract that is missing from all newer responses keeps its coin.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from marshmallow import ValidationError, fields

from shared.errors import SourceError
from shared.model.records import Claim, Cursor, Page, RawRecord
from shared.settings import Settings
from worker.sources.base import Fetch, Policy, Request, Response
from worker.sources.chains import contracts_on, normalise_address
from worker.sources.coinpaprika import Coinpaprika
from worker.sources.contract_list import ContractList
from worker.sources.fields import MAYBE_EMPTY, NOT_EMPTY, RecordSchema, StrippedString, brief

PLATFORMS = 160
"""Approximate number of platforms, used until one pass was read."""

_read_names = msgspec.json.Decoder(list[str]).decode


class ContractSchema(RecordSchema):
    """One element of `/contracts/{platform}`."""

    coin = StrippedString(data_key="id", required=True, validate=NOT_EMPTY)
    address = StrippedString(required=True, validate=MAYBE_EMPTY)
    type = StrippedString(allow_none=True)
    active = fields.Boolean(load_default=True, truthy={True}, falsy={False})


@dataclass(frozen=True, kw_only=True)
class CoinpaprikaContracts(ContractList):
    name = "coinpaprika_contracts"
    listed_by = "coinpaprika"
    newest_claim_wins = True
    schema: ClassVar = ContractSchema()
    drift_policy: ClassVar = {
        "active": Policy.ACCEPT,
        "id": Policy.FAIL,
        "address": Policy.FAIL,
    }

    requests_per_month: int = Coinpaprika.requests_per_month

    @classmethod
    def from_settings(cls, settings: Settings) -> "CoinpaprikaContracts":
        tickers = Coinpaprika.from_settings(settings)
        return cls(
            base_url=tickers.base_url,
            api_key=tickers.api_key,
            requests_per_minute=tickers.requests_per_minute,
            requests_per_month=tickers.requests_per_month,
        )

    def request(self, cursor: Cursor | None) -> Request:
        """Request the contracts of the cursor's platform, or without a cursor the platforms."""
        headers = {"Authorization": self.api_key} if self.api_key else {}
        path = f"/{quote(cursor['platform'], safe='')}" if cursor else ""
        return Request(self.url(f"/contracts{path}"), {}, headers)

    def next_cursor(self, cursor: Cursor | None, count: int) -> Cursor | None:  # noqa: ARG002
        return None

    def requests_a_pass(self, records: int) -> int:  # noqa: ARG002
        return PLATFORMS + 1

    def place(self, cursor: Cursor | None) -> str:
        return f"platform {cursor['platform']}" if cursor else "platforms"

    def pages(
        self, fetch: Fetch, cursor: Cursor | None, validators: Mapping[str, str]
    ) -> Iterator[Page]:
        """Request the platforms, then each of them, starting at the cursor's.

        Raises:
            SourceError: `not_json`, `not_a_list`; and what `fetch` raises.
        """
        names = self._platforms(fetch)
        cursors = [{"platform": name} for name in names if not cursor or name >= cursor["platform"]]
        if not cursors:
            yield Page([], cursor, None)
            return
        for current, following in zip(cursors, [*cursors[1:], None], strict=True):
            try:
                page = self.page(fetch, current, validators)
            except SourceError as exc:
                if exc.code != "not_found":
                    raise
                page = Page([], current, None)
            yield replace(page, next_cursor=following)

    def _platforms(self, fetch: Fetch) -> Sequence[str]:
        response = fetch(self.request(None))
        try:
            names = _read_names(response.body)
        except msgspec.ValidationError as exc:
            raise self.unexpected_response(
                f"{self.name}: expected a list of platforms ({exc})", "not_a_list"
            ) from exc
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise self.unexpected_response(
                f"{self.name}: platforms: not JSON ({exc})", "not_json"
            ) from exc
        return sorted({name.strip() for name in names} - {""})

    def records(self, response: Response, cursor: Cursor | None, where: str) -> list[RawRecord]:
        records = super().records(response, cursor, where)
        if not cursor:
            return records
        return [self._with_platform(cursor["platform"], record) for record in records]

    def _with_platform(self, platform: str, record: RawRecord) -> RawRecord:
        """Add the platform to a record, in its payload and its document."""
        name = json.dumps(platform, ensure_ascii=False).encode()
        document = record.document
        if document is not None:
            document = {"platform": platform, "contract": document}
        payload = b'{"platform":' + name + b',"contract":' + record.payload + b"}"
        return record._replace(payload=payload, document=document)

    def saved_pages(self, path: Path) -> Iterator[Page]:
        """Yield the page of a file named after its platform, such as `eth-ethereum.json`."""
        platform = path.name.partition(".")[0]
        for page in super().saved_pages(path):
            records = [self._with_platform(platform, record) for record in page.records]
            yield replace(page, records=records)

    def received(self, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        contract = document.get("contract")
        return contract if isinstance(contract, dict) else None

    def id_of(self, document: Mapping[str, Any]) -> Any:
        return (self.received(document) or {}).get("id")

    def claim(self, document: Mapping[str, Any], fetched_at: datetime) -> Claim:
        loaded = self.schema.load(self.received(document) or {})
        platform, coin, address = document.get("platform"), loaded["coin"], loaded["address"]
        if not isinstance(platform, str):
            raise ValidationError({"platform": [f"not a text: {brief(platform)}"]})
        addresses = {platform: address} if loaded["active"] else {}
        return Claim(
            f"{coin}@{platform}:{normalise_address(address)}",
            fetched_at,
            coin=coin,
            contracts=contracts_on(self.listed_by, addresses),
        )
