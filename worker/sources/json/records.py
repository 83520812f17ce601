"""Split JSON lists into records, each with the exact bytes as received.

A bad record does not affect the others. If a strict parser refuses the list (`NaN`, a lone
surrogate, a record nested 10 000 levels deep), the list is split at its brackets and commas, and
only the bad record has a defect. If an object has a name twice, the last value counts, as in JSONB.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from itertools import count, repeat
from typing import Any

import msgspec

from shared.errors import SourceError
from shared.model.records import Newest, RawRecord

DEEPEST = 100
"""Maximum nesting of a record: far above any source, and within the limits of all parsers here."""

LONGEST_INT = 1000
"""Digits. Python refuses to convert an `int` of more than 4300 digits from or to text."""

LONE_SURROGATE = "text with half a surrogate pair, which is not a character"

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"

_split = msgspec.json.Decoder(list[msgspec.Raw])
decode = msgspec.json.Decoder(float_hook=Decimal).decode
"""Decodes a JSON document; numbers keep every digit."""

Recognise = Callable[[Iterable[bytes]], Iterable[tuple[str, Newest | None]]]
"""Returns the digest of each record, and the listing whose newest record has the same bytes."""

# A string (without its closing quote if the text was cut off inside it), or a bracket or comma.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?P<end>"?)|[\[\]{},]', re.DOTALL)


def split_records(
    body: bytes, source: str, where: str, recognise: Recognise | None = None
) -> list[RawRecord]:
    """Split a JSON list into its elements. Their positions begin with `where` ("page 3").

    Recognised records are not decoded.

    Raises:
        SourceError: `not_json` if the body is not JSON, `not_a_list` if it is not a list.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        raws: list[bytes] = [bytes(raw) for raw in _split.decode(body)]
    except msgspec.ValidationError as exc:
        raise SourceError(
            f"{source}: {where}: expected a list of records, got {_excerpt(body)}",
            code="not_a_list",
        ) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            raws = list(_split_at_brackets(body))
        except ValueError as exc:
            raise SourceError(
                f"{source}: {where}: not JSON ({exc}); it begins {_excerpt(body)}", code="not_json"
            ) from exc
    recognised: Iterable[tuple[str | None, Newest | None]]
    recognised = recognise(raws) if recognise else repeat((None, None))
    return [
        RawRecord(raw, f"{where}, record {number}", None, None, None, digest, newest)
        if newest
        else read_record(raw, f"{where}, record {number}", digest)
        for number, raw, (digest, newest) in zip(count(1), raws, recognised, strict=False)
    ]


def _split_at_brackets(body: bytes) -> Iterator[bytes]:
    """Split a list at its brackets and commas, whatever is between them.

    Raises:
        ValueError: the brackets do not form a list.
    """
    at = len(body) - len(body.lstrip(SPACE))
    if body[at : at + 1] != b"[":
        raise ValueError("expected a list" if body else "an empty body")
    at += 1
    depth = 0
    for token in _TOKEN.finditer(body, at):
        mark = token[0]
        if mark in b"[{":
            depth += 1
        elif depth and mark in b"]}":
            depth -= 1
        elif mark == b"]":
            last = body[at : token.start()].strip(SPACE)
            if body[token.end() :].strip(SPACE):
                raise ValueError(f"something follows the list, at byte {token.end()}")
            if last or body[:at].rstrip(SPACE).endswith(b","):
                yield last
            return
        elif mark == b"," and not depth:
            yield body[at : token.start()].strip(SPACE)
            at = token.end()
        elif mark == b"}" or token["end"] == b"":
            break
    raise ValueError("the list is cut off, or its brackets do not match")


def read_record(raw: bytes, position: str, digest: str | None = None) -> RawRecord:
    """Decode one element of a list; a record that cannot be decoded has a defect."""
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and _depth(raw) > DEEPEST:
        return RawRecord(raw, position, None, f"nested deeper than {DEEPEST} levels")
    try:
        document = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation):
        return _read_irregular(raw, position)
    if not isinstance(document, dict):
        return RawRecord(raw, position, None, f"expected an object, got {_excerpt(raw)}")
    return RawRecord(raw, position, document, None, None, digest)


def _depth(raw: bytes) -> int:
    deepest = depth = 0
    for token in _TOKEN.finditer(raw):
        if token[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in b"]}":
            depth -= 1
    return deepest


def _read_irregular(raw: bytes, position: str) -> RawRecord:
    """Decode a record that `msgspec` refuses, so that its reject can name the field.

    An integer with more digits than Python converts is valid JSON, and not a defect.
    """
    defects: dict[str, None] = {}

    def constant(text: str) -> Decimal:
        defects[f"{text} is not a number in JSON"] = None
        return Decimal(text)

    def number(text: str) -> Decimal | int:
        if text.lstrip("-").isdigit() and len(text) <= LONGEST_INT:
            return int(text)
        try:
            return Decimal(text)
        except InvalidOperation:
            defects[f"a number beyond the range of decimals: {text[:40]!r}"] = None
            return Decimal("NaN")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members_by_name = dict(pairs)
        if len(members_by_name) < len(pairs) and _has_lone_surrogate(pairs):
            defects[LONE_SURROGATE] = None
        return members_by_name

    try:
        document: Any = json.loads(
            raw.decode(),
            parse_float=number,
            parse_int=number,
            parse_constant=constant,
            object_pairs_hook=members,
        )
    except ValueError as exc:
        return RawRecord(raw, position, None, f"not JSON: {exc}")
    if not isinstance(document, dict):
        return RawRecord(raw, position, None, f"expected an object, got {_excerpt(raw)}")
    if _has_lone_surrogate(document):
        defects[LONE_SURROGATE] = None
    return RawRecord(raw, position, document, "; ".join(defects) or None)


def _has_lone_surrogate(document: Any) -> bool:
    try:
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return True
    return False


def _excerpt(body: bytes) -> str:
    return repr(body[:120].decode(errors="replace")) + ("…" if len(body) > 120 else "")  # noqa: PLR2004
