"""Runs."""

from marshmallow import Schema, fields

from api.schemas.fields import Json, instant, seconds, share
from api.schemas.operations.anomalies import AnomalySchema
from shared.model.catalogue import SOURCES
from shared.model.runs import OUTCOMES, PHASES

RUN_ID = {"description": "The id of the run", "example": 42}


class RecordsSchema(Schema):
    """The number of records by result: fetched = new + unchanged + rejected."""

    fetched = fields.Integer()
    new = fields.Integer()
    unchanged = fields.Integer()
    rejected = fields.Integer()


class PhasesSchema(
    Schema.from_dict(  # type: ignore[misc]  # made from the phases' names
        {name: seconds(meaning) for name, meaning in PHASES.items()}, name="PhasesOfARun"
    )
):
    """Seconds that a run spent in each phase; null if they were not counted.

    A batch is loaded while the next one is fetched and checked, so the sum can exceed the duration
    of the run.
    """


class RunSchema(Schema):
    """A summary of a finished run."""

    id = fields.Integer()
    command = fields.String(metadata={"description": "The worker's command", "example": "run"})
    outcome = fields.String(metadata={"enum": list(OUTCOMES)})
    reason = fields.String(
        allow_none=True, metadata={"description": "A stable code; null if the run succeeded"}
    )
    started_at = instant()
    finished_at = instant(nullable=True)
    duration_seconds = seconds("From start to end")
    records = fields.Nested(RecordsSchema)


class RunningSchema(Schema):
    """A run in progress."""

    id = fields.Integer()
    started_at = instant()


class RunRecordsSchema(RecordsSchema):
    """A run's records. `known` records are those of unchanged pages; they count as seen."""

    known = fields.Integer(metadata={"description": "Records in pages that were answered 304"})
    revised = fields.Integer(
        metadata={
            "description": "New or unchanged records that replaced another record of the same"
            " listing and instant"
        }
    )


class RatesSchema(Schema):
    """A run's rates; null if the divisor is 0."""

    records_per_second = share("Records fetched per second of the run's duration")
    new_share = share("The share of new records in the records seen (fetched and known)")
    rejected_share = share("The share of rejects in the records seen")
    jumped_share = share("The share of prices that jumped in the prices compared")


class ListedRunSchema(Schema):
    """A run: one execution for one source."""

    id = fields.Integer(metadata=RUN_ID)
    source = fields.String(metadata={"enum": list(SOURCES)})
    command = fields.String(
        metadata={"description": "The worker's command: run, import or retry", "example": "run"}
    )
    outcome = fields.String(metadata={"enum": ["running", *OUTCOMES]})
    reason = fields.String(
        allow_none=True, metadata={"description": "A stable code; null if the run succeeded"}
    )
    error = fields.String(allow_none=True, metadata={"description": "The reason as a sentence"})
    started_at = instant()
    finished_at = instant("Null while the run is in progress", nullable=True)
    duration_seconds = seconds("From start to end; null while the run is in progress")
    phase_seconds = fields.Nested(PhasesSchema)
    records = fields.Nested(RunRecordsSchema)
    rates = fields.Nested(RatesSchema)
    requests = fields.Integer(metadata={"description": "Sent to the source, retries included"})
    retries = fields.Integer()
    pages_not_modified = fields.Integer(metadata={"description": "Pages that were answered 304"})
    batches = fields.Integer(metadata={"description": "The number of committed batches"})


class ComparedRunSchema(ListedRunSchema):
    """One of two runs that are compared."""

    prices_compared = fields.Integer(
        metadata={"description": "Prices of listings that had an earlier price, summed by batch"}
    )
    prices_jumped = fields.Integer(
        metadata={"description": "Of these, more than twice or less than half the earlier price"}
    )


class RunDetailSchema(ComparedRunSchema):
    """One run with all details."""

    cursor_before = Json(
        allow_none=True,
        metadata={"description": "The checkpoint at its start; null is the beginning"},
    )
    cursor_after = Json(
        allow_none=True,
        metadata={"description": "The checkpoint at its end; null is the beginning"},
    )
    rejects_dropped = fields.Integer(
        metadata={
            "description": "Rejects whose payloads were not stored, because there were too many "
            "and the source will be read again"
        }
    )
    rejects_dropped_reasons = Json(
        metadata={
            "description": "The number of these by reason, without the values in the reasons",
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "example": {"current_price: negative": 16900},
        }
    )
    previous_run_id = fields.Integer(
        allow_none=True, metadata={"description": "The previous run of this source"}
    )
    next_run_id = fields.Integer(
        allow_none=True, metadata={"description": "The next run of this source"}
    )
    anomalies = fields.List(
        fields.Nested(AnomalySchema),
        allow_none=True,
        metadata={
            "description": "Its anomalies; null if it is not judged: an import, an incomplete run, "
            "or a run with too few successful runs before it"
        },
    )


class DayRunsSchema(Schema):
    """The number of runs that started on a day, by outcome."""

    running = fields.Integer()
    succeeded = fields.Integer()
    partial = fields.Integer()  # type: ignore[assignment]  # a Schema has an attribute of that name
    failed = fields.Integer()


class RunDaySchema(Schema):
    """The runs of one day (UTC)."""

    date = fields.Date(metadata={"example": "2026-01-31"})
    runs = fields.Nested(DayRunsSchema)
    max_lag_seconds = seconds(
        "The longest time since the last success at any instant of the day; null before the first "
        "success"
    )


class RunDaysSchema(Schema):
    """The days of a source, oldest first, including days without runs."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    days = fields.List(fields.Nested(RunDaySchema))
