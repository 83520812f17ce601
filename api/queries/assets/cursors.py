"""Cursors: the end of a page, opaque to clients, bound to its query and its walk.

A cursor holds the version of its walk, and the worker keeps replaced rows for an hour. The
alternatives were refused: keyset paging over a changing table would miss assets or repeat them, and
an open transaction would hold a connection for each walk.
"""

import binascii
import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from api.queries.assets.keyset import Position
from api.queries.times import in_utc

CHECK_SIZE = 6

LOWEST_EXPONENT, HIGHEST_EXPONENT = -16_383, 131_071
"""The range of decimal exponents of Postgres's `numeric`."""


class CursorError(ValueError):
    """A cursor that is malformed, or that belongs to another query."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The state that all pages of a walk share."""

    version: int
    """The version of the data that every page shows."""
    total: int
    """The number of assets on all pages."""
    seen: str | None = None
    """For the past: the load times that were visible to the first page, as JSON (`past.SEEN`)."""


def digest(query: Mapping[str, Any]) -> str:
    """Return the digest that binds a cursor to a query. Pass filters and order, not page size."""
    text = json.dumps(query, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(position: Position, walk: Walk, query_digest: str) -> str:
    keys = [None if key is None else str(key) for key in position.keys]
    seen = [] if walk.seen is None else [dump_seen(walk.seen)]
    return pack([query_digest, position.rank, keys, position.id, walk.version, walk.total, *seen])


def decode(cursor: str, query_digest: str, kinds: Sequence[type]) -> tuple[Position, Walk]:
    """Decode a cursor; `kinds` are the Python types of the sort columns.

    Raises:
        CursorError: it is malformed, or belongs to a query with other filters or another sort.
    """
    cursor_digest, *parts = unpack(cursor)
    if cursor_digest != query_digest:
        raise CursorError("belongs to a query with other filters or another sort")
    try:
        rank, texts, row_id, version, total, *seen = parts
        keys = tuple(_read_key(kind, text) for kind, text in zip(kinds, texts, strict=True))
        position = Position(keys, read_integer(row_id, 2**31), read_integer(rank, 2))
        return position, Walk(read_integer(version), read_integer(total), read_seen(*seen))
    except (ValueError, TypeError, AttributeError, InvalidOperation) as exc:
        raise CursorError("malformed") from exc


def pack(parts: Sequence[Any]) -> str:
    """Encode JSON values as a cursor with a checksum."""
    packed = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()
    return urlsafe_b64encode(_check(packed) + packed).decode().rstrip("=")


def unpack(cursor: str) -> list[Any]:
    """Decode a cursor of `pack`.

    Raises:
        CursorError: it was truncated or changed.
    """
    try:
        checked = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        check, packed = checked[:CHECK_SIZE], checked[CHECK_SIZE:]
        parts = json.loads(packed, parse_constant=_refuse)
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise CursorError("malformed") from exc
    if check != _check(packed) or not isinstance(parts, list) or not parts:
        raise CursorError("malformed")
    return parts


def dump_seen(seen: str | None) -> Any:
    """Convert `Walk.seen` to values for `pack`."""
    return None if seen is None else json.loads(seen)


def read_seen(seen: Mapping[str, str] | None = None) -> str | None:
    """Convert the times of a cursor by source to `Walk.seen`.

    Raises:
        ValueError, TypeError, AttributeError: the values are not times by source.
    """
    if seen is None:
        return None
    times = {read_text(source): read_time(text).isoformat() for source, text in seen.items()}
    return json.dumps(times, sort_keys=True)


def _check(packed: bytes) -> bytes:
    """Compute a checksum. It detects accidents; a forged cursor affects only its own client."""
    return hashlib.blake2b(packed, digest_size=CHECK_SIZE).digest()


def _read_key(kind: type, text: Any) -> Any:
    if not isinstance(text, str | None):
        raise TypeError(text)
    return None if text is None else READERS[kind](text)


def read_text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("U+0000")
    text.encode()  # a lone surrogate is a ValueError here, and would be an error in Postgres
    return text


def _read_decimal(text: str) -> Decimal:
    number = Decimal(text)
    lowest = number.as_tuple().exponent
    if not isinstance(lowest, int):  # infinite, or not a number
        raise ValueError(text)  # noqa: TRY004  the value is wrong, not its type
    if lowest < LOWEST_EXPONENT or number.adjusted() > HIGHEST_EXPONENT:
        raise ValueError(text)
    return number


def _read_digits(text: str) -> int:
    return read_integer(int(text))


def read_integer(value: Any, limit: int = 2**63) -> int:
    """Check that a value is a whole number, at least 0 and below the limit.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not 0 <= value < limit:  # `True` is an `int` to `isinstance`
        raise ValueError(value)
    return value


def read_time(text: str) -> datetime:
    return in_utc(datetime.fromisoformat(text))


def _refuse(constant: str) -> None:
    """Refuse `Infinity` and `NaN`, which Python accepts although JSON does not have them."""
    raise ValueError(constant)


READERS: Mapping[type, Callable[[Any], Any]] = {
    str: read_text,
    Decimal: _read_decimal,
    int: _read_digits,
    datetime: read_time,
}
