"""Drift. Its paths and examples are untrusted text of the sources."""

from marshmallow import Schema, fields

from api.schemas.fields import Json, instant, share
from shared.model.catalogue import SOURCES

KINDS = ("appeared", "vanished", "missing", "changed_type", "unexpected", "became_null", "renamed")


class DriftSchema(Schema):
    """One difference between the shape of a source's records and the known shape."""

    id = fields.Integer(metadata={"example": 3})
    source = fields.String(metadata={"enum": list(SOURCES)})
    kind = fields.String(metadata={"enum": list(KINDS)})
    path = fields.String(
        metadata={"description": "The field; untrusted text", "example": "quotes.USD.price"}
    )
    detail = Json(metadata={"description": "The difference; its members depend on `kind`"})
    share = share("The share of the run's records with this difference", nullable=False)
    example = Json(metadata={"description": "A value from a record; untrusted"})
    records = fields.Integer(
        metadata={"description": "The number of records with it in the last run that saw it"}
    )
    first_seen_at = instant()
    last_seen_at = instant()
    first_run_id = fields.Integer()
    last_run_id = fields.Integer()
    acknowledged_at = instant("When it was acknowledged", nullable=True)
