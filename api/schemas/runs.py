"""Runs."""

from marshmallow import Schema, fields

from api.schemas.anomalies import AnomalySchema
from api.schemas.fields import Json, instant, seconds, share
from shared.model.catalogue import SOURCES
from shared.model.runs import OUTCOMES, PHASES

RUN_ID = {"description": "The id of the run", "example": 42}


class RecordsSchema(Schema):
    """How many records, by what became of them: fetched = new + unchanged + rejected."""

    fetched = fields.Integer()
    new = fields.Integer()
    unchanged = fields.Integer()
    rejected = fields.Integer()


class PhasesSchema(
    Schema.from_dict(  # type: ignore[misc]  # made of the phases' names
        {name: seconds(meaning) for name, meaning in PHASES.items()}, name="PhasesOfARun"
    )
):
    """Seconds that a run spent in each phase; null where it was not counted.

    A batch is loaded while the next is fetched and checked, so together they may take longer than
    the run.
    """


class RunSchema(Schema):
    """A finished run of a source, in short."""

    id = fields.Integer()
    command = fields.String(metadata={"description": "What started it", "example": "run"})
    outcome = fields.String(metadata={"enum": list(OUTCOMES)})
    reason = fields.String(
        allow_none=True, metadata={"description": "A stable code, where it did not succeed"}
    )
    started_at = instant()
    finished_at = instant(nullable=True)
    duration_seconds = seconds("From start to end")
    records = fields.Nested(RecordsSchema)


class RunningSchema(Schema):
    """A run that is at work."""

    id = fields.Integer()
    started_at = instant()


class RunRecordsSchema(RecordsSchema):
    """A run's records; `known` ones came as pages that had not changed, and count as seen."""

    known = fields.Integer(metadata={"description": "In pages that were answered 304"})
    revised = fields.Integer(
        metadata={
            "description": "Of the new and the unchanged, those that took the place of another"
            " record of their listing and instant"
        }
    )


class RatesSchema(Schema):
    """A run's counts beside each other; null where there is nothing to divide by."""

    records_per_second = share("Records fetched, by the second of the whole run")
    new_share = share("Of the records seen (fetched and known), those that were new")
    rejected_share = share("Of the records seen, those that were refused")
    jumped_share = share("Of the prices compared, those that jumped")


class ListedRunSchema(Schema):
    """A run: one execution for one source."""

    id = fields.Integer(metadata=RUN_ID)
    source = fields.String(metadata={"enum": list(SOURCES)})
    command = fields.String(
        metadata={"description": "What started it: run, import or retry", "example": "run"}
    )
    outcome = fields.String(metadata={"enum": ["running", *OUTCOMES]})
    reason = fields.String(
        allow_none=True, metadata={"description": "A stable code, where it did not succeed"}
    )
    error = fields.String(allow_none=True, metadata={"description": "The same for a person"})
    started_at = instant()
    finished_at = instant("Null while it is at work", nullable=True)
    duration_seconds = seconds("From start to end; null while it is at work")
    phase_seconds = fields.Nested(PhasesSchema)
    records = fields.Nested(RunRecordsSchema)
    rates = fields.Nested(RatesSchema)
    requests = fields.Integer(metadata={"description": "Sent to the source, retries included"})
    retries = fields.Integer()
    pages_not_modified = fields.Integer(metadata={"description": "Answered 304"})
    batches = fields.Integer(metadata={"description": "How many were committed"})


class ComparedRunSchema(ListedRunSchema):
    """One of two runs that are compared."""

    prices_compared = fields.Integer(
        metadata={"description": "Listings that had an earlier price, by batch"}
    )
    prices_jumped = fields.Integer(
        metadata={"description": "Of these, to more than twice or less than half of it"}
    )


class RunDetailSchema(ComparedRunSchema):
    """All that is known of one run."""

    cursor_before = Json(
        allow_none=True,
        metadata={"description": "The checkpoint that it started from; null is the beginning"},
    )
    cursor_after = Json(
        allow_none=True,
        metadata={"description": "The checkpoint when it ended; null is the beginning"},
    )
    rejects_dropped = fields.Integer(
        metadata={
            "description": "Rejected records whose payloads were not kept, since there were too "
            "many and the source is read again"
        }
    )
    rejects_dropped_reasons = Json(
        metadata={
            "description": "How many of these by reason, without the value in it",
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "example": {"current_price: negative": 16900},
        }
    )
    previous_run_id = fields.Integer(
        allow_none=True, metadata={"description": "The run of this source before it"}
    )
    next_run_id = fields.Integer(
        allow_none=True, metadata={"description": "The run of this source after it"}
    )
    anomalies = fields.List(
        fields.Nested(AnomalySchema),
        allow_none=True,
        metadata={
            "description": "In what it stands out; null where it is not judged: an import, a run "
            "that broke off, or with fewer than 5 good runs before it"
        },
    )


class DayRunsSchema(Schema):
    """How many runs started on a day, by outcome."""

    running = fields.Integer()
    succeeded = fields.Integer()
    partial = fields.Integer()  # type: ignore[assignment]  # a Schema has an attribute of that name
    failed = fields.Integer()


class RunDaySchema(Schema):
    """A day, in UTC."""

    date = fields.Date(metadata={"example": "2026-01-31"})
    runs = fields.Nested(DayRunsSchema)
    max_lag_seconds = seconds(
        "The greatest time since a run had last succeeded, at any instant of the day; null before "
        "the first success"
    )


class RunDaysSchema(Schema):
    """The days of a source, the oldest first; days without runs are there too."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    days = fields.List(fields.Nested(RunDaySchema))
