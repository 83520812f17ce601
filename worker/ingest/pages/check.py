"""Whether a raw record can be stored, and what it says."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from marshmallow import ValidationError

from shared.model.records import VALUES, Claim, Observation, RawRecord, Reject
from worker.sources.base import Source
from worker.sources.fields import flatten, printable

MAX_PAYLOAD_BYTES = 100_000
"""A record larger than this is none; it also keeps every number within what JSONB can hold."""

_LONGEST_DIGITS = 1_000
_LONG_DIGITS = re.compile(rb"[0-9]{1000}")
# With every digit as 0 and without signs, an exponent of four digits holds this; to look for fixed
# bytes takes a sixth of the time that an expression does.
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE_EXPONENT = b"0e0000"
_MOST_DIGITS = 4_000  # JSONB writes 1e4000 out in digits, and readers refuse longer integers
_MOST_DECIMALS = 16_000  # numeric holds 16383


def check(source: Source, record: RawRecord, now: datetime) -> Observation | Claim | Reject:
    """Say what a record means, or why it is refused, with every reason that can be found.

    A record whose source time is further ahead of `now` than the source's `max_clock_ahead` is
    refused: it would pass for the newest until that time comes.
    """
    document = record.document
    may_be_long = _may_hold_a_long_number(record.payload)
    reasons = list(_unstorable(record, may_be_long=may_be_long))
    if reasons or document is None:
        return Reject(record, reasons or ["not an object"], _external_id(source, document))
    try:
        said = source.read(record)
    except ValidationError as exc:
        return Reject(record, list(flatten(exc.messages)), _external_id(source, document))
    ahead = said.observed_at - now
    if ahead > source.max_clock_ahead:
        reasons.append(f"observed_at: {said.observed_at.isoformat()} is in the future")
    if may_be_long and isinstance(said, Observation):
        reasons += _too_exact(said)
    return Reject(record, reasons, said.external_id) if reasons else said


def _unstorable(record: RawRecord, *, may_be_long: bool) -> Iterator[str]:
    """Name what keeps the record out of a JSONB column."""
    payload = record.payload
    if record.defect:
        yield record.defect
    if len(payload) > MAX_PAYLOAD_BYTES:
        yield f"larger than {MAX_PAYLOAD_BYTES} bytes"
    if record.document is None:
        return
    if b"\\u0000" in payload and _holds(_read_whole(payload), _has_nul):
        yield "holds the character U+0000, which Postgres cannot store"
    if may_be_long and _holds(_read_whole(payload), _is_beyond_jsonb):
        yield "holds a number beyond what Postgres can store"


def _read_whole(payload: bytes) -> Any:
    """Decode with each object as its pairs: where a name stands twice, Postgres reads both."""
    return json.loads(payload, parse_float=_number, parse_int=_number, object_pairs_hook=list)


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None  # and a defect, by which the record is refused already


def _too_exact(observation: Observation) -> Iterator[str]:
    """Name the values with more digits than an index entry has room for."""
    for name in VALUES:
        value = getattr(observation, name)
        if value is not None and len(value.as_tuple().digits) > _LONGEST_DIGITS:
            yield f"{name}: more than {_LONGEST_DIGITS} digits"


def _may_hold_a_long_number(payload: bytes) -> bool:
    if _LARGE_EXPONENT in payload.translate(_DIGITS, b"+-"):
        return True
    return len(payload) > _LONGEST_DIGITS and _LONG_DIGITS.search(payload) is not None


def _holds(node: Any, found: Any) -> bool:
    if isinstance(node, (list, tuple)):
        return any(_holds(each, found) for each in node)
    return bool(found(node))


def _has_nul(leaf: object) -> bool:
    return isinstance(leaf, str) and "\0" in leaf


def _is_beyond_jsonb(leaf: object) -> bool:
    if not isinstance(leaf, Decimal) or not leaf.is_finite():
        return False
    decimals = -int(leaf.as_tuple().exponent)
    return abs(leaf.adjusted()) > _MOST_DIGITS or decimals > _MOST_DECIMALS


def _external_id(source: Source, document: Mapping[str, Any] | None) -> str | None:
    """Find the id that a refused record carries, for a person to search by."""
    found = source.id_of(document or {})
    return printable(found[:300]) if isinstance(found, str) else None
