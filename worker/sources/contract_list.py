"""Sources that say which contracts the coins of a provider have, and nothing of their prices.

Their records have no time of their own: each is of the time at which its response was fetched, or
the saved file that holds it was written. They are read no more often than `read_every`, declared
in `shared/model/expectations.py`, and share their provider's address, key and requests.
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
from worker.sources.json_api import JsonApi

LONGEST_KEY = 2000
"""Bytes of a coin, a chain and an address together: as many as fit an entry of an index."""


class Addresses(fields.Field[dict[str, str | None]]):
    """An address by platform; null and an empty text stand for none."""

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
    """A source each record of which is a claim."""

    listed_by: ClassVar[str]
    """The source whose listings have these contracts."""
    newest_claim_wins: ClassVar[bool] = False
    """A contract is of the coin that the newest record of it says, and no longer of another."""

    @abstractmethod
    def claim(self, document: Mapping[str, Any], fetched_at: datetime) -> Claim:
        """Say what one record means.

        Raises:
            marshmallow.ValidationError: with every reason for which it is no claim.
        """

    @property
    def provider(self) -> str:
        return self.listed_by

    def read(self, record: RawRecord) -> Claim:
        if record.document is None or record.fetched_at is None:
            raise ValidationError("when it was fetched is not known")
        claim = self.claim(record.document, record.fetched_at)
        for chain, address in claim.contracts:
            if (
                len(f"{claim.external_id}{claim.coin}{chain}{address}".encode(errors="replace"))
                > LONGEST_KEY
            ):
                raise ValidationError(f"{brief(address)}: an address and ids of too many bytes")
        return claim

    def records(self, response: Response, cursor: Cursor | None, where: str) -> list[RawRecord]:
        own = super().records(response, cursor, where)
        return [record._replace(fetched_at=response.fetched_at) for record in own]

    def saved_pages(self, path: Path) -> Iterator[Page]:
        """Yield the one page that a saved response is, fetched when the file was written last."""
        for page in super().saved_pages(path):
            try:
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except OSError as exc:
                raise SourceError(f"{path}: {exc.strerror or exc}", code="unreadable") from exc
            records = [record._replace(fetched_at=written) for record in page.records]
            yield replace(page, records=records)
