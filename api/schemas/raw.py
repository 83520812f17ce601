"""Raw records: what the sources sent, untrusted, and shown as JSON only."""

from api.schemas.assets import ProvenanceSchema
from api.schemas.fields import Json, instant


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
