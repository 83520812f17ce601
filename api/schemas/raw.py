"""Raw records. Payloads are untrusted, and only shown as JSON."""

from marshmallow import Schema, fields

from api.schemas.assets import ProvenanceSchema
from api.schemas.fields import Hex, Json, instant


class PrunedSchema(Schema):
    """The archive of a raw record that `worker prune` deleted."""

    pruned_at = instant("When it was pruned")
    archive = fields.String(
        allow_none=True,
        metadata={
            "description": "The Parquet file with the record, in the operator's archive folder; "
            "null if no copy was kept",
            "example": "raw_coinpaprika_2025.parquet",
        },
    )
    digest = Hex(
        allow_none=True,
        metadata={"description": "The SHA-256 of that file", "example": 32 * "c4"},
    )


class RawRecordSchema(ProvenanceSchema):
    """One raw record as stored, with its listing."""

    ingested_at = instant("Load time")
    payload = Json(
        metadata={
            "type": ["object", "null"],
            "description": "The record as stored in JSONB: every member with every digit. "
            "`payload_hash` is computed from exactly these bytes. Null if it was pruned",
            "example": {"id": "btc-bitcoin", "symbol": "BTC", "quotes": {"USD": {"price": 1.5}}},
        }
    )
    pruned = fields.Nested(
        PrunedSchema,
        allow_none=True,
        metadata={"description": "The archive of a pruned record; null if it is not pruned"},
    )
