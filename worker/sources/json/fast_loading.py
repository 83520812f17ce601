"""Load records of plain values as their schema does, in a fraction of marshmallow's time.

All other records are loaded by marshmallow, which reports what is wrong or not readable.
"""

from collections.abc import Callable, Mapping
from decimal import InvalidOperation
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, missing

T = TypeVar("T")


class NotPlainError(Exception):
    """A value is not plain. Its field may accept it all the same."""


class PlainField(fields.Field[T]):
    """A field that can load plain values without marshmallow."""

    def plain_reader(self) -> Callable[[Any], T] | None:
        """Return a function that loads a plain value as the field does, without its validators.

        The function raises `NotPlainError`, `ValueError` or `InvalidOperation` for other values. If
        a field returns None, the default, marshmallow loads every record of the schema.
        """
        return None


class UnknownFieldError(Exception):
    """A schema has a field without a plain reader."""


class PlainReader:
    """Loads documents as one schema does; fields of nested schemas are added at the top level.

    Raises:
        UnknownFieldError: a field of the schema has no plain reader, or has a default.
    """

    def __init__(self, schema: Schema) -> None:
        self._plain: list[tuple[str, str, Callable[[Any], Any], bool]] = []
        self._nested: list[tuple[str, PlainReader]] = []
        for name, field in schema.fields.items():
            key = field.data_key or name
            if isinstance(field, fields.Nested):
                self._nested.append((key, PlainReader(field.schema)))
            else:
                self._plain.append((name, key, _reader_of(name, field), field.required))

    def load(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """Load a document of plain values; None for any other document."""
        loaded: dict[str, Any] = {}
        try:
            self._load(document, loaded)
        except (NotPlainError, KeyError, InvalidOperation, ValidationError, ValueError):
            return None
        return loaded

    def _load(self, document: Mapping[str, Any], loaded: dict[str, Any]) -> None:
        for name, key, read, is_required in self._plain:
            if is_required or key in document:
                loaded[name] = read(document[key])
        for key, nested in self._nested:
            inner = document[key]
            if type(inner) is not dict:
                raise NotPlainError
            nested._load(inner, loaded)  # noqa: SLF001


def _reader_of(name: str, field: fields.Field[Any]) -> Callable[[Any], Any]:
    read = field.plain_reader() if isinstance(field, PlainField) else None
    if read is None or field.load_default is not missing:
        raise UnknownFieldError(name)
    validators = field.validators
    if not validators:
        return read

    def read_validated(value: Any) -> Any:
        loaded = read(value)
        for validate in validators:
            validate(loaded)
        return loaded

    return read_validated
