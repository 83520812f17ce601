"""Anomalies of runs."""

from marshmallow import Schema, fields

from api.schemas.fields import Number, instant, share
from shared.model.catalogue import SOURCES
from shared.model.runs import OUTCOMES


class AnomalySchema(Schema):
    """A measure of a run that deviates from the earlier successful runs of its source."""

    run_id = fields.Integer(metadata={"description": "The id of the run", "example": 42})
    source = fields.String(metadata={"enum": list(SOURCES)})
    started_at = instant("Start of the run")
    outcome = fields.String(metadata={"enum": list(OUTCOMES)})
    rule = fields.String(
        metadata={
            "enum": ["volume", "duration", "rejects", "frozen", "jumping", "vanished"],
            "description": "The rule: `volume`, the number of records; `duration`, in seconds; "
            "`rejects`, the share of rejects; `frozen`, the share of new records; `jumping`, the "
            "share of prices that jumped; `vanished`, the share of ids that replaced another",
        }
    )
    side = fields.String(metadata={"enum": ["low", "high"]})
    value = Number(metadata={"description": "The value of the run"})
    expected_low = share("The expected minimum; null if there is none")
    expected_high = share("The expected maximum; null if there is none")
    median = Number(metadata={"description": "The median of the earlier runs"})
    mad = Number(
        metadata={"description": "The median absolute deviation of the earlier runs (MAD)"}
    )
    earlier_runs = fields.Integer(metadata={"description": "The number of earlier runs compared"})
    detail = fields.String(
        metadata={
            "description": "The anomaly as a sentence",
            "example": "fetched 2 records, expected 90 to 110",
        }
    )


class ExaminedSchema(Schema):
    """The examined runs: complete runs without imports."""

    runs = fields.Integer()
    judged = fields.Integer(
        metadata={"description": "The number of these that have enough earlier runs to compare"}
    )
    newest_run_id = fields.Integer(allow_none=True)
    oldest_run_id = fields.Integer(
        allow_none=True, metadata={"description": "The parameter `before` of the next request"}
    )


class AnomaliesSchema(Schema):
    """Anomalies of runs, newest first, and the examined runs."""

    examined = fields.Nested(ExaminedSchema)
    anomalies = fields.List(fields.Nested(AnomalySchema))
