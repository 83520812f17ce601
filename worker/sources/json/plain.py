"""Reading records that are plainly good, by what their schema declares, at a fraction of its cost.

All others are left to marshmallow, which says what is wrong with them and what is not readable.
"""

from collections.abc import Callable, Mapping
from decimal import InvalidOperation
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, missing

T = TypeVar("T")


class NotPlainError(Exception):
    """A value is not plainly good; its field may still take it."""


class PlainField(fields.Field[T]):
    """A field that knows plain values of its own."""

    def plain_reader(self) -> Callable[[Any], T]:
        """Make what loads a plain value as the field does, before its validators see it.

        For others it raises `NotPlainError`, a `ValueError` or an `InvalidOperation`.
        """
        raise NotImplementedError


class UnknownFieldError(Exception):
    """A schema has a field that knows no plain values."""


class PlainReader:
    """Loads documents as one schema does; what nested schemas load stands beside the rest.

    Raises:
        UnknownFieldError: the schema says more than this understands.
    """

    def __init__(self, schema: Schema) -> None:
        self._plain: list[tuple[str, str, Callable[[Any], Any], bool]] = []
        self._nested: list[tuple[str, PlainReader]] = []
        for name, field in schema.fields.items():
            key = field.data_key or name
            if isinstance(field, fields.Nested):
                self._nested.append((key, PlainReader(field.schema)))
            elif isinstance(field, PlainField) and field.load_default is missing:
                self._plain.append((name, key, _validated(field), field.required))
            else:
                raise UnknownFieldError(name)

    def load(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """Load a document that is plainly good; None of any other."""
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


def _validated(field: PlainField[T]) -> Callable[[Any], T]:
    read, validators = field.plain_reader(), field.validators
    if not validators:
        return read

    def read_validated(value: Any) -> T:
        loaded = read(value)
        for validate in validators:
            validate(loaded)
        return loaded

    return read_validated
