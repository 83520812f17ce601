"""Runs that stand out."""

from marshmallow import Schema, fields

from api.schemas.fields import Number, instant, share
from shared.model.catalogue import SOURCES
from shared.model.runs import OUTCOMES


class AnomalySchema(Schema):
    """A measure in which a run stands out against the good runs of its source before it."""

    run_id = fields.Integer(metadata={"description": "The id of the run", "example": 42})
    source = fields.String(metadata={"enum": list(SOURCES)})
    started_at = instant("When the run started")
    outcome = fields.String(metadata={"enum": list(OUTCOMES)})
    rule = fields.String(
        metadata={
            "enum": ["volume", "duration", "rejects", "frozen", "jumping", "vanished"],
            "description": "Which rule fired: records seen; seconds; share of rejects, of new "
            "records, of prices that jumped",
        }
    )
    side = fields.String(metadata={"enum": ["low", "high"]})
    value = Number(metadata={"description": "What the run had"})
    expected_low = share("With less than this it stands out; null: that side is not judged")
    expected_high = share("With more than this it stands out; null: that side is not judged")
    median = Number(metadata={"description": "Of the earlier runs"})
    mad = Number(
        metadata={"description": "The median of the earlier runs' distances from the median"}
    )
    earlier_runs = fields.Integer(metadata={"description": "How many runs that rests on"})
    detail = fields.String(
        metadata={
            "description": "The same for a person",
            "example": "fetched 2 records, expected 90 to 110",
        }
    )


class ExaminedSchema(Schema):
    """Which runs were looked at: those that came to their end, no imports."""

    runs = fields.Integer()
    judged = fields.Integer(metadata={"description": "Of these, those with a good run before them"})
    newest_run_id = fields.Integer(allow_none=True)
    oldest_run_id = fields.Integer(
        allow_none=True, metadata={"description": "As `before` it goes on from here"}
    )


class AnomaliesSchema(Schema):
    """Runs that stand out, the newest first, and which runs that was looked for in."""

    examined = fields.Nested(ExaminedSchema)
    anomalies = fields.List(fields.Nested(AnomalySchema))
