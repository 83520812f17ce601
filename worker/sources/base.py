"""The contract of a source: what it declares, and the pages it yields.

A source is pure: it says what to ask, where the records are and what one of them means. It never
logs, sleeps, retries, or touches the database; requests go through the `Fetch` it is handed.
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
from worker.sources.json.plain import PlainReader, UnknownFieldError
from worker.sources.json.records import Recognise, read_record


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. Headers may carry a key: they are sent to the URL's host alone, never logged."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What a GET brought. `not_modified` stands for a 304, whose body is empty."""

    body: bytes
    etag: str | None = None
    not_modified: bool = False
    fetched_at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)


class Fetch(Protocol):
    """One GET with timeouts, limits, retries and the rate limit; `validator` is a known `ETag`.

    Raises:
        SourceError: what cannot heal (401, 402, 403, 404, a redirect, a body over the limit).
        RetryableError: what could, but did not within the attempts that were made.
    """

    def __call__(self, request: Request, validator: str | None = None) -> Response: ...


class Policy(Enum):
    """What follows when the shape of a field differs from what is known."""

    ACCEPT = "accept"
    """It is noted, and acknowledged at once."""
    WARN = "warn"
    """The log warns, once a run, until somebody acknowledges it."""
    FAIL = "fail"
    """The run fails, until somebody acknowledges it; its records are stored."""


class Source(ABC):
    """One feed of one provider."""

    name: ClassVar[str]
    schema: ClassVar[Schema]
    max_clock_ahead: ClassVar[timedelta] = timedelta(minutes=10)
    """A record whose source time is further in the future than this is rejected."""
    is_snapshot: ClassVar[bool] = True
    """Each run brings the whole market (an API); False where it brings what is new (files)."""
    drift_policy: ClassVar[Mapping[str, Policy]] = {}
    """What is to follow when a path (`quotes.USD.price`), or what is below it, differs."""
    empty_is_null: ClassVar[bool] = False
    """An empty text stands for null, as in files that have no other way to say so."""

    @property
    def expects(self) -> Expectations:
        """What its runs are weighed by; `/health` reads the same declaration."""
        return EXPECTATIONS[self.name]

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Settings) -> "Source":
        """Make the source as it is configured."""

    def recognising(self, recognise: Recognise) -> "Source":  # noqa: ARG002
        """Give the source for one run, which has its records recognised before they are decoded.

        One whose records do not come again as they were stays as it is.
        """
        return self

    @abstractmethod
    def pages(
        self, fetch: Fetch, cursor: Cursor | None, validators: Mapping[str, str]
    ) -> Iterator[Page]:
        """Yield pages from the cursor on, until there is nothing more at this time."""

    @abstractmethod
    def saved_pages(self, path: Path) -> Iterator[Page]:
        """Yield the pages of a saved response, as `pages` would have; cursors are None."""

    def kept(self, payload: bytes, position: str) -> RawRecord | None:
        """Read a record that was refused again; None where what was kept of it says too little."""
        return read_record(payload, position)

    @property
    def received_schema(self) -> Schema | None:
        """What records should be as they are received; None where each says that itself."""
        return self.schema

    def received(self, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Give the part of a record whose shape is the provider's."""
        return document

    def policy(self, path: str) -> Policy:
        """Say what is to follow when a path differs: as declared of it, or of what it is in."""
        while path:
            if path in self.drift_policy:
                return self.drift_policy[path]
            path = path.rpartition(".")[0]
        return Policy.WARN

    def id_of(self, document: Mapping[str, Any]) -> Any:
        """Find what stands where a record has its id, whatever it is."""
        return document.get("id")

    def read(self, record: RawRecord) -> Observation | Claim:
        """Say what a record that decodes means; raises what `observe` does."""
        return self.observe(record.document or {})

    def observe(self, document: Mapping[str, Any]) -> Observation:
        """Say what one record means.

        Raises:
            marshmallow.ValidationError: with every reason for which it is no observation.
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
    """Make an observation of what a schema loaded; what was not readable is null, with a note.

    Raises:
        marshmallow.ValidationError: no value is left beside those that were not readable.
    """
    if Unreadable not in map(type, loaded.values()):
        return Observation(**loaded)
    unreadable = {name: said.why for name, said in loaded.items() if isinstance(said, Unreadable)}
    values = {**loaded, **dict.fromkeys(unreadable)}
    if all(values.get(name) is None for name in VALUES):
        raise ValidationError({name: [why] for name, why in unreadable.items()})
    return Observation(**values, notes=tuple(unreadable.items()))
