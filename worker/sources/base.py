"""The contract of a source: what it declares, and the pages it yields.

A source is pure: it says what to ask, where the records are and what one of them means. It never
logs, sleeps, retries, or touches the database; requests go through the `Fetch` it is handed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing, validate

from shared.expectations import EXPECTATIONS, Expectations
from shared.records import VALUES, Claim, Cursor, Observation, Page, RawRecord
from shared.settings import Settings
from worker.sources.json_records import read_record


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


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in what a schema loaded for an optional value that is not readable, and says why."""

    why: str


class Direct(fields.Field[T]):
    """A field whose value goes straight to `_deserialize` and its validators.

    It leaves out the hooks that marshmallow offers around them and no source uses: records are
    checked one by one, and this takes a third off the time of each. With `is_optional`, a value
    that is not readable loads as `Unreadable`; one that is absent is still refused if required.
    """

    is_optional = False

    def deserialize(
        self,
        value: Any,
        attr: str | None = None,
        data: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        if value is None or value is missing:
            return super().deserialize(value, attr, data, **kwargs)
        try:
            loaded = self._deserialize(value, attr, data, **kwargs)
            for validator in self.validators:
                validator(loaded)
        except ValidationError as exc:
            if self.is_optional:
                return Unreadable("; ".join(map(str, exc.messages)))
            raise
        return loaded


class Amount(Direct[Decimal | None]):
    """A number that is not negative, of any size that a market can have, with every digit.

    Takes what a JSON number decodes to (`int` or `Decimal`); text and booleans are refused. With
    `zero_is_unknown`, 0 stands for a value that the source does not have, and loads as None.
    """

    LARGEST = Decimal("1e40")
    SMALLEST = Decimal("1e-40")

    def __init__(
        self, *, zero_is_unknown: bool = False, is_optional: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(allow_none=True, **kwargs)
        self.zero_is_unknown = zero_is_unknown
        self.is_optional = is_optional

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002
        data: Mapping[str, Any] | None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> Decimal | None:
        if type(value) is Decimal:
            number = value
        elif type(value) is int:
            number = Decimal(value)
        else:
            raise ValidationError(f"not a number: {brief(value)}")
        if not number.is_finite():
            raise ValidationError(f"not a finite number: {number}")
        if number.is_zero():
            return None if self.zero_is_unknown else Decimal(0)
        if number.is_signed():
            raise ValidationError(f"negative: {str(number)[:80]}")
        if not self.SMALLEST <= number <= self.LARGEST:
            raise ValidationError(
                f"beyond any market's figures (1e-40 to 1e40): {str(number)[:80]}"
            )
        return number


class Instant(Direct[datetime]):
    """A moment as ISO 8601 has it, with its offset from UTC; loads in UTC.

    Nothing had a market price before the first block of Bitcoin (2009-01-03): an earlier time, such
    as the epoch, is a source's way to say that it knows none.
    """

    EARLIEST = datetime(2009, 1, 3, tzinfo=UTC)

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002
        data: Mapping[str, Any] | None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> datetime:
        if not isinstance(value, str):
            raise ValidationError(f"not a time: {brief(value)}")
        try:
            read = datetime.fromisoformat(value)
            if read.tzinfo is None:
                raise ValidationError(f"a time without its offset from UTC: {brief(value)}")
            moment = read.astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise ValidationError(f"not a time: {brief(value)}") from exc
        if moment < self.EARLIEST:
            raise ValidationError(f"before anything had a market price: {brief(value)}")
        return moment


class StrippedString(Direct[str]):
    """A string without the white space (no-break spaces too) around it."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002
        data: Mapping[str, Any] | None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"not a text: {brief(value)}")
        return value.strip()


def brief(value: Any) -> str:
    """Show a value in a reason, whatever it is, in at most 80 characters."""
    return repr(value)[:80]


LONGEST_NAME = 300
"""Characters. An index entry in Postgres has room for 2704 bytes, at 4 bytes a character."""

NOT_EMPTY = validate.Length(1, LONGEST_NAME, error="empty, or longer than {max} characters")
MAYBE_EMPTY = validate.Length(0, LONGEST_NAME, error="longer than {max} characters")


class RecordSchema(Schema):
    """What every record must say; a source's own schema adds its values, and its names for them.

    Id, symbol, name, time and price must be readable, or the record is refused. Every other value
    is optional: where it is not readable, it is null with a note, and the record stays. Fields that
    no schema names are drift, not an error.
    """

    class Meta:  # noqa: D106
        unknown = EXCLUDE


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
        return observation_of(self.schema.load(document))


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
