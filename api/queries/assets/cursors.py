"""Cursors: where a page ended, opaque to clients, bound to the query and the walk it came from.

A cursor holds the version of its walk, and replaced rows are kept for an hour. Keyset paging over a
table that changes would miss some assets and show others twice; a transaction that stays open
between requests would hold a connection for each walk.
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
"""Between which powers of ten the digits of a number lie in Postgres."""


class CursorError(ValueError):
    """A cursor that is not one of ours, or not one of this query."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A reading of all pages of a query, as its first page began it."""

    version: int
    """Of the data: what every page of the walk shows."""
    total: int
    """How many assets it meets."""
    seen: str | None = None
    """Of the past: what there was to see when it began, as `queries.past` writes it in JSON."""


def digest(query: Mapping[str, Any]) -> str:
    """Return what binds a cursor to a query: filters and order, not the size of a page."""
    text = json.dumps(query, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(position: Position, walk: Walk, query_digest: str) -> str:
    keys = [None if key is None else str(key) for key in position.keys]
    seen = [] if walk.seen is None else [dump_seen(walk.seen)]
    return pack([query_digest, position.rank, keys, position.id, walk.version, walk.total, *seen])


def decode(cursor: str, query_digest: str, kinds: Sequence[type]) -> tuple[Position, Walk]:
    """Read a cursor back; `kinds` are the Python types of the columns that are sorted by.

    Raises:
        CursorError: it was cut, changed, or comes from a query with other filters or another order.
    """
    made_for, *parts = unpack(cursor)
    if made_for != query_digest:
        raise CursorError("belongs to a query with other filters or another sort")
    try:
        rank, texts, row_id, version, total, *seen = parts
        keys = tuple(_read_key(kind, text) for kind, text in zip(kinds, texts, strict=True))
        position = Position(keys, read_integer(row_id, 2**31), read_integer(rank, 2))
        return position, Walk(read_integer(version), read_integer(total), read_seen(*seen))
    except (ValueError, TypeError, AttributeError, InvalidOperation) as exc:
        raise CursorError("malformed") from exc


def pack(parts: Sequence[Any]) -> str:
    """Write JSON values as a cursor: what was cut or changed does not pass `unpack`."""
    packed = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()
    return urlsafe_b64encode(_check(packed) + packed).decode().rstrip("=")


def unpack(cursor: str) -> list[Any]:
    """Read what `pack` wrote.

    Raises:
        CursorError: it was cut or changed.
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
    """Turn what there was to see into values for `pack`."""
    return None if seen is None else json.loads(seen)


def read_seen(seen: Mapping[str, str] | None = None) -> str | None:
    """Write as JSON again which time a cursor holds for each source.

    Raises:
        ValueError, TypeError, AttributeError: it holds something else.
    """
    if seen is None:
        return None
    times = {read_text(source): read_time(text).isoformat() for source, text in seen.items()}
    return json.dumps(times, sort_keys=True)


def _check(packed: bytes) -> bytes:
    """Guard against accidents, not against forgers: whoever forges one misleads only himself."""
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
    if not isinstance(lowest, int):  # infinite, or no number
        raise ValueError(text)  # noqa: TRY004  of what it says, not of its type
    if lowest < LOWEST_EXPONENT or number.adjusted() > HIGHEST_EXPONENT:
        raise ValueError(text)
    return number


def _read_digits(text: str) -> int:
    return read_integer(int(text))


def read_integer(value: Any, limit: int = 2**63) -> int:
    """Check that a value is a whole number from 0 on and below the limit.

    Raises:
        ValueError: it is another number, or none.
    """
    if type(value) is not int or not 0 <= value < limit:  # `True` is an `int` to `isinstance`
        raise ValueError(value)
    return value


def read_time(text: str) -> datetime:
    return in_utc(datetime.fromisoformat(text))


def _refuse(constant: str) -> None:
    """Refuse `Infinity` and `NaN`, which Python reads and JSON has not."""
    raise ValueError(constant)


READERS: Mapping[type, Callable[[Any], Any]] = {
    str: read_text,
    Decimal: _read_decimal,
    int: _read_digits,
    datetime: read_time,
}
