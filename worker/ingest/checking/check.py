"""Check whether a raw record can be stored, and read its observation or claim.

A claim is what a contract list reports: the contract addresses of a coin.

Most reasons of rejects come from the fields of the sources' schemas, in `sources/fields.py` and
`sources/csv/`. This module adds those that apply to every source.
"""

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
"""Larger records are refused. The limit also keeps every number within the limits of JSONB."""

_LONGEST_DIGITS = 1_000
_LONG_DIGITS = re.compile(rb"[0-9]{1000}")
# If every digit is replaced by 0 and signs are removed, exponents of four digits or more contain
# `_LARGE_EXPONENT`. Searching for fixed bytes takes a sixth of the time of a regular expression.
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE_EXPONENT = b"0e0000"
_MOST_DIGITS = 4_000  # JSONB expands 1e4000 to digits, and parsers refuse longer integers
_MOST_DECIMALS = 16_000  # numeric has at most 16383


def check(source: Source, record: RawRecord, now: datetime) -> Observation | Claim | Reject:
    """Read the observation or claim of a record, or return its reject with all reasons.

    A record whose source time is more than `max_clock_ahead` after `now` is refused: it would count
    as the newest record until that time.
    """
    document = record.document
    may_be_long = _may_hold_a_long_number(record.payload)
    reasons = list(_unstorable(record, may_be_long=may_be_long))
    if reasons or document is None:
        return Reject(record, reasons or ["not an object"], _external_id(source, document))
    try:
        content = source.read(record)
    except ValidationError as exc:
        return Reject(record, list(flatten(exc.messages)), _external_id(source, document))
    ahead = content.observed_at - now
    if ahead > source.max_clock_ahead:
        reasons.append(f"observed_at: {content.observed_at.isoformat()} is in the future")
    if may_be_long and isinstance(content, Observation):
        reasons += _too_many_digits(content)
    return Reject(record, reasons, content.external_id) if reasons else content


def _unstorable(record: RawRecord, *, may_be_long: bool) -> Iterator[str]:
    """Yield the reasons why the record cannot be stored as JSONB."""
    payload = record.payload
    if record.defect:
        yield record.defect
    if len(payload) > MAX_PAYLOAD_BYTES:
        yield f"larger than {MAX_PAYLOAD_BYTES} bytes"
    if record.document is None:
        return
    if b"\\u0000" in payload and _has_leaf(_decode_pairs(payload), _has_nul):
        yield "contains the character U+0000, which Postgres cannot store"
    if may_be_long and _has_leaf(_decode_pairs(payload), _is_beyond_jsonb):
        yield "contains a number beyond the range that Postgres can store"


def _decode_pairs(payload: bytes) -> Any:
    """Decode objects to lists of pairs: if an object has a name twice, Postgres reads both."""
    return json.loads(payload, parse_float=_number, parse_int=_number, object_pairs_hook=list)


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None  # the record has a defect, for which it is refused


def _too_many_digits(observation: Observation) -> Iterator[str]:
    """Yield a reason for each value with more digits than an index entry can have."""
    for name in VALUES:
        value = getattr(observation, name)
        if value is not None and len(value.as_tuple().digits) > _LONGEST_DIGITS:
            yield f"{name}: more than {_LONGEST_DIGITS} digits"


def _may_hold_a_long_number(payload: bytes) -> bool:
    if _LARGE_EXPONENT in payload.translate(_DIGITS, b"+-"):
        return True
    return len(payload) > _LONGEST_DIGITS and _LONG_DIGITS.search(payload) is not None


def _has_leaf(node: Any, predicate: Any) -> bool:
    if isinstance(node, (list, tuple)):
        return any(_has_leaf(child, predicate) for child in node)
    return bool(predicate(node))


def _has_nul(leaf: object) -> bool:
    return isinstance(leaf, str) and "\0" in leaf


def _is_beyond_jsonb(leaf: object) -> bool:
    if not isinstance(leaf, Decimal) or not leaf.is_finite():
        return False
    decimals = -int(leaf.as_tuple().exponent)
    return abs(leaf.adjusted()) > _MOST_DIGITS or decimals > _MOST_DECIMALS


def _external_id(source: Source, document: Mapping[str, Any] | None) -> str | None:
    """Return the id of a refused record, so that operators can search for it."""
    value = source.id_of(document or {})
    return printable(value[:300]) if isinstance(value, str) else None
