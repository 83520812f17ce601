"""Cursors: where a page of assets ended, opaque to clients, bound to the query it came from."""

import binascii
import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from api.keyset import Position


class CursorError(ValueError):
    """A cursor that is not one of ours, or not one of this query."""


def digest(query: Mapping[str, Any]) -> str:
    """Return what binds a cursor to a query: filters and order, not the size of a page."""
    text = json.dumps(query, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(position: Position, query_digest: str) -> str:
    key = position.key.isoformat() if isinstance(position.key, datetime) else position.key
    parts = [query_digest, position.rank, None if key is None else str(key), position.id]
    packed = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def decode(cursor: str, query_digest: str, kind: type) -> Position:
    """Read a cursor back; `kind` is the Python type of the column that the query is sorted by.

    Raises:
        CursorError: it was cut, changed, or comes from a query with other filters or another order.
    """
    made_for, rank, text, row_id = _unpack(cursor)
    if not isinstance(text, str | None):
        raise CursorError("malformed")
    if made_for != query_digest:
        raise CursorError("belongs to a query with other filters or another sort")
    try:
        key = None if text is None else READERS[kind](text)
        return Position(key, _read_integer(row_id, 2**31), _read_integer(rank, 2))
    except (ValueError, TypeError, AttributeError, InvalidOperation) as exc:
        raise CursorError("malformed") from exc


def _unpack(cursor: str) -> list[Any]:
    try:
        packed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        parts = json.loads(packed)
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise CursorError("malformed") from exc
    if not isinstance(parts, list) or len(parts) != 4:  # noqa: PLR2004  as `encode` makes them
        raise CursorError("malformed")
    return parts


def _read_text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("U+0000")
    text.encode()  # a lone surrogate is a ValueError here, and would be an error in Postgres
    return text


def _read_decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    return number


def _read_integer(text: str | int, limit: int = 2**63) -> int:
    number = int(text)
    if not 0 <= number < limit:
        raise ValueError(text)
    return number


def _read_time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


READERS: Mapping[type, Callable[[Any], Any]] = {
    str: _read_text,
    Decimal: _read_decimal,
    int: _read_integer,
    datetime: _read_time,
}
