"""Raw records: what the sources sent, untrusted, and shown as JSON only."""

from marshmallow import Schema, fields

from api.schemas.assets import ProvenanceSchema
from api.schemas.fields import Hex, Json, instant


class PrunedSchema(Schema):
    """What became of a raw record that `worker prune` took out."""

    pruned_at = instant("When it was taken out")
    archive = fields.String(
        allow_none=True,
        metadata={
            "description": "The Parquet file that has it now, in the folder that whoever runs the "
            "worker chose; null where no copy was kept",
            "example": "raw_coinpaprika_2025.parquet",
        },
    )
    digest = Hex(
        allow_none=True,
        metadata={"description": "The SHA-256 of that file", "example": 32 * "c4"},
    )


class RawRecordSchema(ProvenanceSchema):
    """One record as its source sent it, and what it is of."""

    ingested_at = instant("When it was loaded")
    payload = Json(
        metadata={
            "type": ["object", "null"],
            "description": "As received, every digit of it, and written as Postgres writes JSONB: "
            "these are the bytes that `payload_hash` is of. Null where it was pruned",
            "example": {"id": "btc-bitcoin", "symbol": "BTC", "quotes": {"USD": {"price": 1.5}}},
        }
    )
    pruned = fields.Nested(
        PrunedSchema,
        allow_none=True,
        metadata={"description": "What became of the record; null where it is here"},
    )
