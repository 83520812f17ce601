"""Statistics of the worker's runs."""

from marshmallow import Schema, fields

from api.schemas.fields import Json, instant, seconds, share
from api.schemas.operations.runs import PhasesSchema, RecordsSchema, RunningSchema, RunSchema
from shared.model.catalogue import PROVIDERS, SOURCES


class RecentRunsSchema(Schema):
    """The last 100 finished runs of a source, by outcome."""

    succeeded = fields.Integer()
    partial = fields.Integer()  # type: ignore[assignment]  # a Schema has an attribute of that name
    failed = fields.Integer()


class DurationSchema(Schema):
    """Durations of runs, in seconds."""

    last = seconds("The last finished run")
    average = seconds("The last 100 finished runs")
    median = seconds("The last 100 finished runs")


class LagSchema(Schema):
    """The lag of the data, in seconds; null without data."""

    newest_observation = seconds("Time since the newest observation, by the source's own clock")
    last_success = seconds("Time since the end of the last successful run, without imports")


class RecentRatesSchema(Schema):
    """Rates of the last 100 finished runs of each source, and open items."""

    records_per_second = share("Records fetched per second of these runs' durations")
    success_rate = share("The share of successful runs; stopped runs do not count")
    lag_seconds = fields.Nested(LagSchema)
    open_rejects = fields.Integer(metadata={"description": "The number of open rejects"})
    open_drift = fields.Integer(metadata={"description": "Drift that is not acknowledged"})


class CheckpointSchema(Schema):
    """The checkpoint of a source: the cursor that was committed with the last batch."""

    cursor = Json(
        allow_none=True,
        metadata={"description": "The cursor in the source's terms; null is the beginning"},
    )
    run_id = fields.Integer()
    batches = fields.Integer(metadata={"description": "The number of committed batches"})
    updated_at = instant()


class BudgetSchema(Schema):
    """The request budget of a provider, which its sources share. Months are calendar months in UTC.

    The worker does not count requests per minute: it spaces them evenly.
    """

    provider = fields.String(metadata={"enum": [provider.name for provider in PROVIDERS]})
    requests_used = fields.Integer(metadata={"description": "Requests this month", "example": 420})
    requests_per_month = fields.Integer(
        metadata={"description": "Maximum number of requests per month", "example": 10_000}
    )
    requests_per_minute = fields.Integer(
        metadata={"description": "Maximum number of requests per minute", "example": 5}
    )
    renews_at = instant("Start of the next month")
    next_request_at = instant(
        "Earliest time of the next request, by the rate or a pause; null before the first request, "
        "and if the clock was set back so that the worker ignores the stored time",
        nullable=True,
    )
    paused_until = instant("End of the pause that the provider requested", nullable=True)
    pause_reason = fields.String(
        allow_none=True,
        metadata={
            "description": "The reason for the pause",
            "enum": ["rate_limited", "budget_spent", None],
        },
    )


class SourceStatsSchema(RecentRatesSchema):
    """Statistics of one source."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    records = fields.Nested(RecordsSchema)
    recent_runs = fields.Nested(RecentRunsSchema)
    duration_seconds = fields.Nested(DurationSchema)
    last_success_at = instant("End of the last successful run, without imports", nullable=True)
    last_failure_at = instant(
        "End of the last run that did not succeed, without imports", nullable=True
    )
    last_run = fields.Nested(RunSchema, allow_none=True)
    last_run_phase_seconds = fields.Nested(PhasesSchema, allow_none=True)
    running = fields.Nested(RunningSchema, allow_none=True)
    checkpoint = fields.Nested(CheckpointSchema, allow_none=True)
    next_run_at = instant(
        "Estimated time of the next run in the worker's loop, not before the end of a pause; "
        "null if no loop is running",
        nullable=True,
    )
    budget = fields.Nested(
        BudgetSchema,
        allow_none=True,
        metadata={"description": "The budget of the provider; null for files"},
    )


class TotalsSchema(RecentRatesSchema):
    """All sources together. The lag is the smallest lag of all sources."""

    assets = fields.Integer()
    listings = fields.Integer()
    records = fields.Nested(RecordsSchema)
    recent_runs = fields.Nested(RecentRunsSchema)


class StatsSchema(Schema):
    """Statistics of the worker's runs, by source and in total."""

    sources = fields.List(fields.Nested(SourceStatsSchema))
    totals = fields.Nested(TotalsSchema)
