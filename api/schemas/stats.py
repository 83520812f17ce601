"""What the loading has done."""

from marshmallow import Schema, fields

from api.schemas.fields import Json, instant, seconds, share
from api.schemas.runs import PhasesSchema, RecordsSchema, RunningSchema, RunSchema
from shared.model.catalogue import PROVIDERS, SOURCES


class RecentRunsSchema(Schema):
    """The last 100 finished runs of a source, by outcome."""

    succeeded = fields.Integer()
    partial = fields.Integer()  # type: ignore[assignment]  # a Schema has an attribute of that name
    failed = fields.Integer()


class DurationSchema(Schema):
    """How long runs take, in seconds."""

    last = seconds("The last finished run")
    average = seconds("The last 100 finished runs")
    median = seconds("The last 100 finished runs")


class LagSchema(Schema):
    """How far the data is behind, in seconds; null where there is none yet."""

    newest_observation = seconds("Since the newest observation, by the source's own clock")
    last_success = seconds("Since a run last succeeded")


class RecentRatesSchema(Schema):
    """How the last 100 finished runs of each source did, and what is waiting for somebody."""

    records_per_second = share("Fetched in those runs, by the second that they took")
    success_rate = share("Of those runs that were not told to stop, the share that succeeded")
    lag_seconds = fields.Nested(LagSchema)
    open_rejects = fields.Integer(metadata={"description": "Records that are refused still"})
    open_drift = fields.Integer(metadata={"description": "Differences nobody acknowledged"})


class CheckpointSchema(Schema):
    """Where a source stands: the cursor that was committed with the last batch."""

    cursor = Json(
        allow_none=True,
        metadata={"description": "In the source's own terms; null is its beginning"},
    )
    run_id = fields.Integer()
    batches = fields.Integer(metadata={"description": "How many batches were committed"})
    updated_at = instant()


class BudgetSchema(Schema):
    """The requests of a provider, which its sources share. A month is one of the calendar, in UTC.

    The worker keeps no count of a minute: it sends requests evenly, each by its time.
    """

    provider = fields.String(metadata={"enum": [provider.name for provider in PROVIDERS]})
    requests_used = fields.Integer(metadata={"description": "In this month", "example": 420})
    requests_per_month = fields.Integer(
        metadata={"description": "How many are allowed in a month", "example": 10_000}
    )
    requests_per_minute = fields.Integer(
        metadata={"description": "How many are allowed in a minute", "example": 5}
    )
    renews_at = instant("When the next month begins")
    next_request_at = instant(
        "Before when no request is sent, by the rate or a pause; null before the first request",
        nullable=True,
    )
    paused_until = instant("Until when the provider asked for a pause", nullable=True)
    pause_reason = fields.String(
        allow_none=True,
        metadata={"description": "Why it did", "enum": ["rate_limited", "budget_spent", None]},
    )


class SourceStatsSchema(RecentRatesSchema):
    """What one source's loading has done."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    records = fields.Nested(RecordsSchema)
    recent_runs = fields.Nested(RecentRunsSchema)
    duration_seconds = fields.Nested(DurationSchema)
    last_success_at = instant("When a run last succeeded", nullable=True)
    last_failure_at = instant("When a run last did not", nullable=True)
    last_run = fields.Nested(RunSchema, allow_none=True)
    last_run_phase_seconds = fields.Nested(PhasesSchema, allow_none=True)
    running = fields.Nested(RunningSchema, allow_none=True)
    checkpoint = fields.Nested(CheckpointSchema, allow_none=True)
    next_run_at = instant(
        "When the worker's loop runs it next, estimated; null where no loop runs", nullable=True
    )
    budget = fields.Nested(
        BudgetSchema, allow_none=True, metadata={"description": "Null for files"}
    )


class TotalsSchema(RecentRatesSchema):
    """All sources together; the lag is that of the source that lags least."""

    assets = fields.Integer()
    listings = fields.Integer()
    records = fields.Nested(RecordsSchema)
    recent_runs = fields.Nested(RecentRunsSchema)


class StatsSchema(Schema):
    """What the loading has done, by source and in total."""

    sources = fields.List(fields.Nested(SourceStatsSchema))
    totals = fields.Nested(TotalsSchema)
