"""The state of the database, of the loading and of this process."""

from marshmallow import Schema, fields

from api.schemas.fields import instant, share
from api.schemas.runs import RunningSchema, RunSchema
from shared.model.catalogue import SOURCES


class ExpectedSchema(Schema):
    """What is normal for a source, as it is declared; null is not judged."""

    freshness_target_seconds = fields.Integer(
        metadata={
            "description": "How old its newest data may be: what is declared, or three turns of "
            "the loop where that is longer; a turn is the interval and the time "
            "that the sources' runs usually take"
        }
    )
    fresh_for_seconds = fields.Integer(
        allow_none=True, metadata={"description": "The declared target; null: data may be old"}
    )
    min_snapshot_share = share("Of the records that are expected; with less a run is `partial`")
    max_reject_share = share("Of a run's records; with more it is `failed`", nullable=False)
    max_reject_rise = share("Above its recent runs' share of rejects; beyond it is `partial`")
    max_unchanged_seconds = fields.Integer(
        allow_none=True,
        metadata={"description": "Without new records for longer, a run is `partial`: `frozen`"},
    )
    min_new_share = share("Of a run's records; with fewer it brought nothing new", nullable=False)
    delisted_after_snapshots = fields.Integer(
        allow_none=True,
        metadata={
            "description": "A listing that is missing in so many whole snapshots in turn is"
            " delisted; null where snapshots do not tell",
            "example": 3,
        },
    )
    delisted_after_seconds = fields.Integer(
        allow_none=True,
        metadata={"description": "And for no less than this between the first and the last"},
    )
    max_jumped_share = share("Of a run's prices; with more a run is `partial`: `prices_shifted`")
    read_every_seconds = fields.Integer(
        allow_none=True,
        metadata={"description": "It is read no more often; null: each time it has its turn"},
    )


class SourceHealthSchema(Schema):
    """How one source's loading does, and how fresh its data is. Imports are not judged."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    status = fields.String(
        metadata={
            "enum": ["pass", "warn", "fail"],
            "description": "`warn`: its last run was not good, or its data is older than the "
            "target; `fail`: runs have failed for longer than the target, or the data is four "
            "times as old",
        }
    )
    reason = fields.String(
        allow_none=True,
        metadata={
            "description": "A stable code, where the status is not `pass`: the last run's own, or "
            "`no_run`, `sample` (the data is the project's sample, and no provider has been read "
            "yet), `late` (no run has succeeded for too long), `outdated` (runs succeed, and "
            "what they bring is old by the source's own clock)"
        },
    )
    detail = fields.String(
        allow_none=True, metadata={"description": "Why the status is not `pass`"}
    )
    since = instant("Since when there is something wrong, where that is known", nullable=True)
    observed_at = instant("The newest observation, by the source's own clock", nullable=True)
    expected = fields.Nested(ExpectedSchema)
    last_success_at = instant("When a run last succeeded", nullable=True)
    last_failure_at = instant("When a run last did not", nullable=True)
    last_run = fields.Nested(RunSchema, allow_none=True)
    running = fields.Nested(RunningSchema, allow_none=True)


class DatabaseHealthSchema(Schema):
    """Whether the API reaches its database."""

    status = fields.String(metadata={"enum": ["pass", "fail"]})


class HealthSchema(Schema):
    """The state of the whole: that of the source that does worst; `fail` without a database."""

    status = fields.String(metadata={"enum": ["pass", "warn", "fail"]})
    database = fields.Nested(DatabaseHealthSchema)
    sources = fields.List(fields.Nested(SourceHealthSchema))


class LiveSchema(Schema):
    """This process answers."""

    status = fields.String(metadata={"enum": ["pass"]})


class ReadySchema(LiveSchema):
    """This process can serve: the database is there, with the schema that it expects."""

    schema_revision = fields.String(metadata={"example": "0001"})
