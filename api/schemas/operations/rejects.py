"""Refused records. Payloads are untrusted text of the source, and only shown as JSON."""

import base64
from typing import Any

from marshmallow import Schema, fields

from api.schemas.fields import Hex, Json, instant
from shared.model.catalogue import SOURCES

LONGEST_PREVIEW = 500


class Preview(fields.Field[bytes]):
    """The beginning of a payload as text, with U+FFFD for bytes that are not UTF-8."""

    def _serialize(self, value: bytes | None, *_: Any, **__: Any) -> str:
        return bytes(value or b"").decode(errors="replace")[:LONGEST_PREVIEW]


class Payload(fields.Field[bytes]):
    """A complete payload as text, or as base64 if it is not UTF-8."""

    def _serialize(self, value: bytes | None, *_: Any, **__: Any) -> str | None:
        if value is None:
            return None
        if encoding_of(value) == "utf-8":
            return bytes(value).decode()
        return base64.b64encode(value).decode()


def encoding_of(payload: bytes) -> str:
    """Return the encoding in which a payload is shown."""
    try:
        bytes(payload).decode()
    except UnicodeDecodeError:
        return "base64"
    return "utf-8"


class RejectFieldsSchema(Schema):
    """A refused record without its payload."""

    id = fields.Integer(metadata={"example": 7})
    source = fields.String(metadata={"enum": list(SOURCES)})
    external_id = fields.String(
        allow_none=True, metadata={"description": "The source's own id, if it could be read"}
    )
    position = fields.String(
        metadata={
            "description": "The position in the source's response or file",
            "example": "page 3, record 17",
        }
    )
    reasons = Json(
        metadata={
            "description": "Why it was refused",
            "type": "array",
            "items": {"type": "string"},
            "example": ["current_price: negative: -1"],
        }
    )
    first_seen_at = instant()
    last_seen_at = instant()
    times_seen = fields.Integer()
    first_run_id = fields.Integer()
    last_run_id = fields.Integer()
    resolved_at = instant(
        "When the record was accepted or dismissed; null while it is open", nullable=True
    )
    dismissed_by = fields.String(
        allow_none=True, metadata={"description": "Who dismissed it; null if it is not dismissed"}
    )
    dismissed_reason = fields.String(
        allow_none=True,
        metadata={"description": "Why it was dismissed", "example": "a test coin of the provider"},
    )
    payload_hash = Hex(
        metadata={
            "description": "The first 16 bytes of the payload's SHA-256",
            "example": "c4ad266835460f39356e2cc0bf1615b2",
        }
    )
    payload_bytes = fields.Integer(metadata={"description": "The length of the payload"})


class RejectSchema(RejectFieldsSchema):
    """A refused record with the beginning of its payload."""

    payload_preview = Preview(
        attribute="payload",
        metadata={
            "type": "string",
            "description": f"The first {LONGEST_PREVIEW} characters, with U+FFFD for bytes that "
            "are not UTF-8. Untrusted text of the source",
            "example": '{"id":"bitcoin","current_price":-1}',
        },
    )


class RejectDetailSchema(RejectFieldsSchema):
    """A refused record as received."""

    payload = Payload(
        allow_none=True,
        metadata={
            "type": ["string", "null"],
            "description": "The complete payload, untrusted. Null if it is larger than 100 KiB; "
            "use `worker rejects show ID --payload`",
        },
    )
    payload_encoding = fields.Function(
        lambda row: None if row["payload"] is None else encoding_of(row["payload"]),
        metadata={
            "type": ["string", "null"],
            "enum": ["utf-8", "base64", None],
            "description": "The encoding of `payload`: its text, or base64 if it is not UTF-8",
        },
    )


class RejectReasonSchema(Schema):
    """A kind of reason, and how many records of a source were refused for it."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    reason = fields.String(
        metadata={
            "description": "The reason without the values in it: `…` stands for text, `#` for a "
            "number",
            "example": "current_price: negative",
        }
    )
    rejects = fields.Integer(
        metadata={"description": "How many; one that has two kinds of reasons counts in both"}
    )
    example = fields.String(
        metadata={
            "description": "One of these reasons as it is; untrusted text",
            "example": "current_price: negative: -1",
        }
    )
    last_seen_at = instant("When a record was last refused so")
