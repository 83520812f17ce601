"""JSON lists cut into records, each with the very bytes it was received in.

What one record holds never costs another: a list that a strict parser refuses (`NaN`, a lone
surrogate, a record nested 10 000 deep) is cut by its brackets, and the record that is to blame
carries the defect. A name that stands twice in an object counts as its last value, as in JSONB.
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
"""How far a record may nest. Far beyond any source; well within what every reader here can hold."""

LONGEST_INT = 1000
"""Digits. Python refuses to convert an `int` of more than 4300, either way."""

LONE_SURROGATE = "text with half a surrogate pair, which is no character"

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"

_split = msgspec.json.Decoder(list[msgspec.Raw])
decode = msgspec.json.Decoder(float_hook=Decimal).decode
"""Reads a JSON document with every digit of its numbers."""

Recognise = Callable[[Iterable[bytes]], Iterable[tuple[str, Newest | None]]]
"""Digests the bytes of records, and finds for each the listing that shows this very record."""

# A string (its closing quote is missing where the text was cut off inside it), or a mark.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?P<end>"?)|[\[\]{},]', re.DOTALL)


def split_records(
    body: bytes, source: str, where: str, recognise: Recognise | None = None
) -> list[RawRecord]:
    """Cut a JSON list into its elements; `where` begins each one's position ("page 3").

    Those that are recognised are not decoded.

    Raises:
        SourceError: `not_json` where there is no JSON, `not_a_list` where it is something else.
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
            raws = list(_cut(body))
        except ValueError as exc:
            raise SourceError(
                f"{source}: {where}: not JSON ({exc}); it begins {_excerpt(body)}", code="not_json"
            ) from exc
    found: Iterable[tuple[str | None, Newest | None]]
    found = recognise(raws) if recognise else repeat((None, None))
    return [
        RawRecord(raw, f"{where}, record {number}", None, None, None, digest, newest)
        if newest
        else read_record(raw, f"{where}, record {number}", digest)
        for number, raw, (digest, newest) in zip(count(1), raws, found, strict=False)
    ]


def _cut(body: bytes) -> Iterator[bytes]:
    """Cut a list by its brackets and commas, whatever stands between them.

    Raises:
        ValueError: where even those do not make a list.
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
    raise ValueError("cut off, or out of balance")


def read_record(raw: bytes, position: str, digest: str | None = None) -> RawRecord:
    """Decode one element of a list, or say what keeps it from being decoded."""
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and _depth(raw) > DEEPEST:
        return RawRecord(raw, position, None, f"nested deeper than {DEEPEST} levels")
    try:
        document = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation):
        return _odd_record(raw, position)
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


def _odd_record(raw: bytes, position: str) -> RawRecord:
    """Decode what `msgspec` refuses, so that its reject can name the field.

    An integer of more digits than Python converts is good JSON, and no defect.
    """
    defects: dict[str, None] = {}

    def constant(text: str) -> Decimal:
        defects[f"{text} is no number in JSON"] = None
        return Decimal(text)

    def number(text: str) -> Decimal | int:
        if text.lstrip("-").isdigit() and len(text) <= LONGEST_INT:
            return int(text)
        try:
            return Decimal(text)
        except InvalidOperation:
            defects[f"a number that no decimal holds: {text[:40]!r}"] = None
            return Decimal("NaN")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs) and _has_lone_surrogate(pairs):
            defects[LONE_SURROGATE] = None
        return found

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
