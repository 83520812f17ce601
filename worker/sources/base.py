"""The interface of a source: its declarations, and the pages that it yields.

A source is pure. It defines which requests to send, where a response has its records, and how a
record is read. It never logs, sleeps, retries or uses the database. It sends requests through the
`Fetch` that it receives.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

from marshmallow import Schema, ValidationError

from shared.model.catalogue import EXPECTATIONS
from shared.model.expectations import Expectations
from shared.model.records import VALUES, Claim, Cursor, Observation, Page, RawRecord
from shared.settings import Settings
from worker.sources.fields import Unreadable
from worker.sources.json.fast_loading import PlainReader, UnknownFieldError
from worker.sources.json.records import Recognise, read_record


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. Headers can contain a key: they are sent only to the URL's host and never logged."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """The response to a GET. `not_modified` means a 304, which has no body."""

    body: bytes
    etag: str | None = None
    not_modified: bool = False
    fetched_at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)


class Fetch(Protocol):
    """One GET with timeouts, size limit, retries and rate limit; `validator` is a stored `ETag`.

    Raises:
        SourceError: a permanent error (401, 402, 403, 404, a redirect, a body over the limit).
        RetryableError: a temporary error that all attempts met.
    """

    def __call__(self, request: Request, validator: str | None = None) -> Response: ...


class Policy(Enum):
    """The consequence when a field differs from its known shape."""

    ACCEPT = "accept"
    """The difference is recorded and acknowledged at once."""
    WARN = "warn"
    """Each run logs a warning until an operator acknowledges the difference."""
    FAIL = "fail"
    """Each run fails until an operator acknowledges the difference; its records are stored."""


class Source(ABC):
    """One feed of one provider."""

    name: ClassVar[str]
    schema: ClassVar[Schema]
    max_clock_ahead: ClassVar[timedelta] = timedelta(minutes=10)
    """A record whose source time is further in the future than this is rejected."""
    is_snapshot: ClassVar[bool] = True
    """Whether each run reads the whole market, as from an API; False for files."""
    drift_policy: ClassVar[Mapping[str, Policy]] = {}
    """The policy by path (`quotes.USD.price`); it also applies to the paths below."""
    empty_is_null: ClassVar[bool] = False
    """Whether an empty text means null, as in CSV files."""

    @property
    def expects(self) -> Expectations:
        """The expectations by which its runs are judged; `/health` uses the same declaration."""
        return EXPECTATIONS[self.name]

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Settings) -> "Source":
        """Create the source from the settings."""

    def with_recognition(self, recognise: Recognise) -> "Source":  # noqa: ARG002
        """Return the source for one run, which recognises known records before decoding them.

        A source whose records are not received again unchanged returns itself.
        """
        return self

    @abstractmethod
    def pages(
        self, fetch: Fetch, cursor: Cursor | None, validators: Mapping[str, str]
    ) -> Iterator[Page]:
        """Yield the pages from the cursor to the current end of the source."""

    @abstractmethod
    def saved_pages(self, path: Path) -> Iterator[Page]:
        """Yield the pages of a saved response, as `pages` does; their cursors are None."""

    def read_rejected(self, payload: bytes, position: str) -> RawRecord | None:
        """Decode the stored payload of a reject; None if the payload is not a whole record."""
        return read_record(payload, position)

    @property
    def received_schema(self) -> Schema | None:
        """The schema of records as received; None if each record declares its own."""
        return self.schema

    def received(self, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the part of a record whose shape is defined by the provider."""
        return document

    def policy(self, path: str) -> Policy:
        """Return the policy of a path: its own, or that of the nearest path above it."""
        while path:
            if path in self.drift_policy:
                return self.drift_policy[path]
            path = path.rpartition(".")[0]
        return Policy.WARN

    def id_of(self, document: Mapping[str, Any]) -> Any:
        """Return the value of a record's id field, which can be of any type."""
        return document.get("id")

    def read(self, record: RawRecord) -> Observation | Claim:
        """Read a decoded record. Raises the errors of `observe`."""
        return self.observe(record.document or {})

    def observe(self, document: Mapping[str, Any]) -> Observation:
        """Read the observation of one record.

        Raises:
            marshmallow.ValidationError: with every reason why the record is refused.
        """
        reader = _plain_reader(self.schema)
        plain = reader and reader.load(document)
        return Observation(**plain) if plain else observation_of(self.schema.load(document))


@cache
def _plain_reader(schema: Schema) -> PlainReader | None:
    try:
        return PlainReader(schema)
    except UnknownFieldError:
        return None


def observation_of(loaded: Mapping[str, Any]) -> Observation:
    """Create an observation from loaded fields; unreadable values become None with a note.

    Raises:
        marshmallow.ValidationError: some values are unreadable, and there are no others.
    """
    if Unreadable not in map(type, loaded.values()):
        return Observation(**loaded)
    unreadable = {
        name: value.reason for name, value in loaded.items() if isinstance(value, Unreadable)
    }
    values = {**loaded, **dict.fromkeys(unreadable)}
    if all(values.get(name) is None for name in VALUES):
        raise ValidationError({name: [reason] for name, reason in unreadable.items()})
    return Observation(**values, notes=tuple(unreadable.items()))
