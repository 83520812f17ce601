"""The state of the database, of the sources and of this process."""

from marshmallow import Schema, fields

from api.schemas.fields import instant, share
from api.schemas.operations.runs import RunningSchema, RunSchema
from shared.model.catalogue import SOURCES


class ExpectedSchema(Schema):
    """The declared expectations of a source; null means that there is no limit."""

    freshness_target_seconds = fields.Integer(
        metadata={
            "description": "Maximum age of the newest data: the declared target, or three passes "
            "of the loop if that is longer. A pass is the interval plus the usual duration of the "
            "sources' runs"
        }
    )
    fresh_for_seconds = fields.Integer(
        allow_none=True,
        metadata={"description": "The declared target; null if the age of data is not judged"},
    )
    min_snapshot_share = share(
        "Minimum share of the expected records; with fewer, a run is `partial`"
    )
    max_reject_share = share("Maximum share of rejects; with more, a run fails", nullable=False)
    max_reject_rise = share(
        "Maximum rise of the share of rejects above recent runs; beyond it, a run is `partial`"
    )
    max_unchanged_seconds = fields.Integer(
        allow_none=True,
        metadata={
            "description": "Maximum time without new records; beyond it, a run is `partial` "
            "(`frozen`)"
        },
    )
    min_new_share = share(
        "Minimum share of new records; with fewer, a run counts as without new records",
        nullable=False,
    )
    delisted_after_snapshots = fields.Integer(
        allow_none=True,
        metadata={
            "description": "A listing is delisted if it is missing in this number of consecutive"
            " complete snapshots; null if snapshots are not used for this",
            "example": 3,
        },
    )
    delisted_after_seconds = fields.Integer(
        allow_none=True,
        metadata={"description": "Minimum time between the first and the last of these snapshots"},
    )
    max_jumped_share = share(
        "Maximum share of prices that jumped; with more, a run is `partial` (`prices_shifted`)"
    )
    read_every_seconds = fields.Integer(
        allow_none=True,
        metadata={"description": "Minimum time between two reads; null: read in every pass"},
    )


class SourceHealthSchema(Schema):
    """The state of one source's runs and data. Imports do not affect it."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    status = fields.String(
        metadata={
            "enum": ["pass", "warn", "fail"],
            "description": "`warn`: the last run failed or was partial, or the data is older than "
            "the target; `fail`: runs have failed for longer than the target, or the data is older "
            "than four times the target",
        }
    )
    reason = fields.String(
        allow_none=True,
        metadata={
            "description": "A stable code if the status is not `pass`: the reason of the last run, "
            "or `no_run` (no run has finished yet), `sample` (the data is the project's sample), "
            "`late` (the last successful run is too old), `outdated` (runs succeed, but the data "
            "is too old by the source's own clock)"
        },
    )
    detail = fields.String(
        allow_none=True, metadata={"description": "Why the status is not `pass`, as sentences"}
    )
    since = instant("Start of the trouble, if it is known", nullable=True)
    observed_at = instant("The newest observation, by the source's own clock", nullable=True)
    expected = fields.Nested(ExpectedSchema)
    last_success_at = instant("End of the last successful run", nullable=True)
    last_failure_at = instant("End of the last failed or partial run", nullable=True)
    last_run = fields.Nested(RunSchema, allow_none=True)
    running = fields.Nested(RunningSchema, allow_none=True)


class DatabaseHealthSchema(Schema):
    """Whether the API can reach the database."""

    status = fields.String(metadata={"enum": ["pass", "fail"]})


class HealthSchema(Schema):
    """The overall state: the worst of all sources; `fail` if the database cannot be reached."""

    status = fields.String(metadata={"enum": ["pass", "warn", "fail"]})
    database = fields.Nested(DatabaseHealthSchema)
    sources = fields.List(fields.Nested(SourceHealthSchema))


class LiveSchema(Schema):
    """Liveness: this process answers."""

    status = fields.String(metadata={"enum": ["pass"]})


class ReadySchema(LiveSchema):
    """Readiness: the database answers and has this release's schema."""

    schema_revision = fields.String(metadata={"example": "0001"})
