"""Lists of contracts: sources that report the contracts of a provider's coins, without prices.

The time of a record is when its response was fetched, or when its saved file was written. A list is
read at most once per `read_every` (`shared/model/catalogue.py`). It shares the provider's URL, key
and request budget.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from shared.errors import SourceError
from shared.model.records import Claim, Cursor, Page, RawRecord
from worker.sources.base import Response
from worker.sources.fields import LONGEST_NAME, brief
from worker.sources.json.api import JsonApi

LONGEST_KEY = 2000
"""Bytes of coin, chain and address together; an index entry has no room for more."""


class Addresses(fields.Field[dict[str, str | None]]):
    """Addresses by platform; null and an empty text mean none."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002
        data: Mapping[str, Any] | None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> dict[str, str | None]:
        if not isinstance(value, dict):
            raise ValidationError(f"not an object: {brief(value)}")
        for platform, address in value.items():
            if address is not None and not isinstance(address, str):
                raise ValidationError(f"{platform!r}: not an address: {brief(address)}")
            if len(platform) > LONGEST_NAME or len(address or "") > LONGEST_NAME:
                raise ValidationError(f"{brief(platform)}: longer than {LONGEST_NAME} characters")
        return value


@dataclass(frozen=True, kw_only=True)
class ContractList(JsonApi):
    """A source whose records are claims: which contracts a coin has."""

    listed_by: ClassVar[str]
    """The source whose listings have these contracts."""
    newest_claim_wins: ClassVar[bool] = False
    """Whether a contract belongs only to the coin that its newest record names."""

    @abstractmethod
    def claim(self, document: Mapping[str, Any], fetched_at: datetime) -> Claim:
        """Return what one record claims.

        Raises:
            marshmallow.ValidationError: with every reason why it is not a claim.
        """

    @property
    def provider(self) -> str:
        return self.listed_by

    def read(self, record: RawRecord) -> Claim:
        if record.document is None or record.fetched_at is None:
            raise ValidationError("its fetch time is unknown")
        claim = self.claim(record.document, record.fetched_at)
        for chain, address in claim.contracts:
            if (
                len(f"{claim.external_id}{claim.coin}{chain}{address}".encode(errors="replace"))
                > LONGEST_KEY
            ):
                raise ValidationError(f"{brief(address)}: address and ids are too long together")
        return claim

    def records(self, response: Response, cursor: Cursor | None, where: str) -> list[RawRecord]:
        records = super().records(response, cursor, where)
        return [record._replace(fetched_at=response.fetched_at) for record in records]

    def saved_pages(self, path: Path) -> Iterator[Page]:
        """Yield the page of a saved response, fetched when the file was last written."""
        for page in super().saved_pages(path):
            try:
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except OSError as exc:
                raise SourceError(f"{path}: {exc.strerror or exc}", code="unreadable") from exc
            records = [record._replace(fetched_at=written) for record in page.records]
            yield replace(page, records=records)
