"""The fields of which schemas of records are made, and what every such schema has in common."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from marshmallow import EXCLUDE, Schema, ValidationError, missing, validate

from worker.sources.json.plain import NotPlainError, PlainField

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in what a schema loaded for an optional value that is not readable, and says why."""

    why: str


class Direct(PlainField[T]):
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
        self._zero = None if zero_is_unknown else Decimal(0)
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
            return self._zero
        if number.is_signed():
            raise ValidationError(f"negative: {str(number)[:80]}")
        if not self.SMALLEST <= number <= self.LARGEST:
            raise ValidationError(
                f"beyond any market's figures (1e-40 to 1e40): {str(number)[:80]}"
            )
        return number

    def plain_reader(self) -> Callable[[Any], Decimal | None]:
        smallest, largest, zero = self.SMALLEST, self.LARGEST, self._zero

        def read(value: Any) -> Decimal | None:
            if value is None:
                return None
            if type(value) is Decimal:
                number = value
            elif type(value) is int:
                number = Decimal(value)
            else:
                raise NotPlainError
            if smallest <= number <= largest:
                return number
            if number == 0:
                return zero
            raise NotPlainError

        return read


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

    def plain_reader(self) -> Callable[[Any], datetime]:
        def read(value: Any) -> datetime:
            if type(value) is not str:
                raise NotPlainError
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not UTC or moment < self.EARLIEST:
                raise NotPlainError
            return moment

        return read


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

    def plain_reader(self) -> Callable[[Any], str]:
        def read(value: Any) -> str:
            if type(value) is not str:
                raise NotPlainError
            return value.strip()

        return read


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

    class Meta:
        unknown = EXCLUDE


def flatten(messages: Any, path: str = "") -> Iterator[str]:
    """Turn marshmallow's nested messages into sentences: `quotes.USD: Missing data …`."""
    if isinstance(messages, Mapping):
        for key, nested in messages.items():
            step = "" if key == "_schema" else str(key)
            yield from flatten(nested, f"{path}.{step}".strip(".") if step else path)
    else:
        for message in messages:
            text = printable(str(message).rstrip("."))
            yield f"{path}: {text}" if path else text


def printable(text: str) -> str:
    """Write out what Postgres cannot hold in a text: lone surrogates and U+0000."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")
