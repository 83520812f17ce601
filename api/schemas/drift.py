"""How the sources' shapes differ from what was known. The names in it are the sources' own."""

from marshmallow import Schema, fields

from api.schemas.fields import Json, instant, share
from shared.model.catalogue import SOURCES

KINDS = ("appeared", "vanished", "missing", "changed_type", "unexpected", "became_null", "renamed")


class DriftSchema(Schema):
    """One difference between a source's records and what is known of them."""

    id = fields.Integer(metadata={"example": 3})
    source = fields.String(metadata={"enum": list(SOURCES)})
    kind = fields.String(metadata={"enum": list(KINDS)})
    path = fields.String(
        metadata={"description": "The field: untrusted text", "example": "quotes.USD.price"}
    )
    detail = Json(metadata={"description": "What differs, by kind"})
    share = share("Of the run's records, those that have it so", nullable=False)
    example = Json(metadata={"description": "A record's value, untrusted"})
    records = fields.Integer(metadata={"description": "In how many records the last run saw it"})
    first_seen_at = instant()
    last_seen_at = instant()
    first_run_id = fields.Integer()
    last_run_id = fields.Integer()
    acknowledged_at = instant("When somebody accepted it", nullable=True)
