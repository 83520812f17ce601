"""Refused records. What is in them is the source's own text: untrusted, and shown as JSON only."""

import base64
from typing import Any

from marshmallow import Schema, fields

from api.schemas.fields import Hex, Json, instant
from shared.model.catalogue import SOURCES

LONGEST_PREVIEW = 500


class Preview(fields.Field[bytes]):
    """The beginning of a payload as text; bytes that are none are shown as U+FFFD."""

    def _serialize(self, value: bytes | None, *_: Any, **__: Any) -> str:
        return bytes(value or b"").decode(errors="replace")[:LONGEST_PREVIEW]


class Payload(fields.Field[bytes]):
    """A whole payload: its text, or base64 where it is none."""

    def _serialize(self, value: bytes | None, *_: Any, **__: Any) -> str | None:
        if value is None:
            return None
        if encoding_of(value) == "utf-8":
            return bytes(value).decode()
        return base64.b64encode(value).decode()


def encoding_of(payload: bytes) -> str:
    """Say how a payload is shown."""
    try:
        bytes(payload).decode()
    except UnicodeDecodeError:
        return "base64"
    return "utf-8"


class RejectFieldsSchema(Schema):
    """What is known of a refused record, apart from itself."""

    id = fields.Integer(metadata={"example": 7})
    source = fields.String(metadata={"enum": list(SOURCES)})
    external_id = fields.String(
        allow_none=True, metadata={"description": "The source's own id, where it could be read"}
    )
    position = fields.String(
        metadata={"description": "Where it was", "example": "page 3, record 17"}
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
        "When it passed after all, or was dismissed; null while it is refused", nullable=True
    )
    dismissed_by = fields.String(
        allow_none=True, metadata={"description": "Who dismissed it; null where nobody did"}
    )
    dismissed_reason = fields.String(
        allow_none=True,
        metadata={"description": "Why it was dismissed", "example": "a test coin of the provider"},
    )
    payload_hash = Hex(
        metadata={
            "description": "The first 16 bytes of its SHA-256",
            "example": "c4ad266835460f39356e2cc0bf1615b2",
        }
    )
    payload_bytes = fields.Integer(metadata={"description": "How long it is"})


class RejectSchema(RejectFieldsSchema):
    """A refused record, with its beginning."""

    payload_preview = Preview(
        attribute="payload",
        metadata={
            "type": "string",
            "description": f"The first {LONGEST_PREVIEW} characters; bytes that are no UTF-8 are "
            "shown as U+FFFD. Untrusted text of the source",
            "example": '{"id":"bitcoin","current_price":-1}',
        },
    )


class RejectDetailSchema(RejectFieldsSchema):
    """A refused record as it was received."""

    payload = Payload(
        allow_none=True,
        metadata={
            "type": ["string", "null"],
            "description": "The whole of it, untrusted; null where it is larger than 100 KiB: "
            "`worker rejects show ID --payload`",
        },
    )
    payload_encoding = fields.Function(
        lambda row: None if row["payload"] is None else encoding_of(row["payload"]),
        metadata={
            "type": ["string", "null"],
            "enum": ["utf-8", "base64", None],
            "description": "How `payload` is written: as its text, or in base64 where it is none",
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
