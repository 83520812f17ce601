"""The documents that the API answers with."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from marshmallow import Schema, fields
from marshmallow.experimental.context import Context

from shared.records import VALUES
from shared.settings import SOURCES

DECIMALS = Context[str]
"""How amounts are written while a document is dumped: as a `number` or as a `string`."""

USD = "US dollars"
UNITS = "units of the asset"


class Number(fields.Field[Decimal]):
    """A number with every digit, in plain notation: never through a float, never `1E-8`."""

    def _serialize(self, value: Decimal | None, *_: Any, **__: Any) -> Any:
        return None if value is None else msgspec.Raw(format(value, "f"))


class Amount(Number):
    """A number of an asset's: a string where the request asks for `decimals=string`."""

    def _serialize(self, value: Decimal | None, *_: Any, **__: Any) -> Any:
        if value is None or DECIMALS.get("number") == "number":
            return super()._serialize(value)
        return format(value, "f")


class Instant(fields.AwareDateTime):
    """A time in UTC (RFC 3339): `2026-01-31T12:00:00Z`."""

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None


class Hex(fields.Field[bytes]):
    """Bytes as hexadecimal digits."""

    def _serialize(self, value: bytes | None, *_: Any, **__: Any) -> str | None:
        return value.hex() if value is not None else None


class Json(fields.Field[Any]):
    """JSON as the database holds it."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value


def amount(description: str, *, nullable: bool = True) -> Amount:
    return Amount(allow_none=nullable, metadata={"description": description})


def share(description: str, *, nullable: bool = True) -> Number:
    return Number(allow_none=nullable, metadata={"description": description})


def seconds(description: str) -> Number:
    return Number(allow_none=True, metadata={"description": description})


def instant(description: str = "", *, nullable: bool = False) -> Instant:
    metadata = {"description": description} if description else {}
    return Instant(allow_none=nullable, metadata=metadata)


class ValuesSchema(Schema):
    """What is known of an asset; null is unknown."""

    price_usd = amount(USD)
    market_cap_usd = amount(USD)
    volume_24h_usd = amount(f"{USD}, over the last 24 hours")
    circulating_supply = amount(UNITS)
    total_supply = amount(UNITS)
    max_supply = amount(UNITS)


class AssetSchema(ValuesSchema):
    """One asset across all sources."""

    slug = fields.String(metadata={"description": "Our name for it in URLs", "example": "bitcoin"})
    symbol = fields.String(
        metadata={"description": "Its label, not unique and never a key", "example": "BTC"}
    )
    name = fields.String(metadata={"example": "Bitcoin"})
    observed_at = instant("When its newest listing was observed, by the source", nullable=True)
    source_count = fields.Integer(metadata={"description": "How many sources list it"})
    price_spread_percent = amount("How far the sources' prices lie apart")
    version = fields.Integer(metadata={"description": "Rises with every change, in commit order"})
    created_at = instant("When it was first loaded")
    updated_at = instant("When its values last changed")


class ProvenanceSchema(Schema):
    """Where a value comes from: a listing, and the raw record and run behind it."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    external_id = fields.String(metadata={"description": "The source's own id"})
    observed_at = instant("The source's time of the observation")
    payload_hash = Hex(metadata={"description": "Of the raw record: the first 16 bytes of SHA-256"})
    run_id = fields.Integer(metadata={"description": "The run that loaded it"})


class ListingSchema(ProvenanceSchema, ValuesSchema):
    """The asset as one source knows it, and why it is taken for this asset."""

    symbol = fields.String()
    name = fields.String()
    match_method = fields.String(metadata={"description": "How it was matched with the asset"})
    match_score = amount("How sure the match is, from 0 to 1", nullable=False)
    match_evidence = Json(metadata={"description": "What the match rests on"})


class AssetDetailSchema(AssetSchema):
    """One asset, each source's view of it, and the origin of every value."""

    provenance = fields.Nested(
        Schema.from_dict(
            {value: fields.Nested(ProvenanceSchema, allow_none=True) for value in VALUES},
            name="ProvenanceByValueSchema",
        ),
        metadata={"description": "For each value the listing that it is taken from"},
    )
    listings = fields.List(fields.Nested(ListingSchema))


class RecordsSchema(Schema):
    """How many records, by what became of them: fetched = new + unchanged + rejected."""

    fetched = fields.Integer()
    new = fields.Integer()
    unchanged = fields.Integer()
    rejected = fields.Integer()


class RunSchema(Schema):
    """A finished run of a source, in short."""

    id = fields.Integer()
    command = fields.String(metadata={"description": "What started it"})
    outcome = fields.String(metadata={"enum": ["succeeded", "partial", "failed"]})
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
            "`no_run`, `late` (no run has succeeded for too long), `outdated` (runs succeed, and "
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


class RecentRunsSchema(Schema):
    """The last 100 finished runs of a source, by outcome."""

    succeeded = fields.Integer()
    partial = fields.Integer()  # type: ignore[assignment]  # a Schema has an attribute of that name
    failed = fields.Integer()


class DurationSchema(Schema):
    """How long runs take, in seconds."""

    last = seconds("The last finished run")
    average = seconds("The last 100 finished runs")


class CheckpointSchema(Schema):
    """Where a source stands: the cursor that was committed with the last batch."""

    cursor = Json(
        allow_none=True,
        metadata={"description": "In the source's own terms; null is its beginning"},
    )
    run_id = fields.Integer()
    batches = fields.Integer(metadata={"description": "How many batches were committed"})
    updated_at = instant()


class SourceStatsSchema(Schema):
    """What one source's loading has done."""

    source = fields.String(metadata={"enum": list(SOURCES)})
    records = fields.Nested(RecordsSchema)
    recent_runs = fields.Nested(RecentRunsSchema)
    duration_seconds = fields.Nested(DurationSchema)
    last_success_at = instant("When a run last succeeded", nullable=True)
    last_failure_at = instant("When a run last did not", nullable=True)
    last_run = fields.Nested(RunSchema, allow_none=True)
    running = fields.Nested(RunningSchema, allow_none=True)
    checkpoint = fields.Nested(CheckpointSchema, allow_none=True)


class TotalsSchema(Schema):
    """All sources together."""

    assets = fields.Integer()
    listings = fields.Integer()
    records = fields.Nested(RecordsSchema)


class StatsSchema(Schema):
    """What the loading has done, by source and in total."""

    sources = fields.List(fields.Nested(SourceStatsSchema))
    totals = fields.Nested(TotalsSchema)


class RouteSchema(Schema):
    """One route of this API."""

    path = fields.String(metadata={"example": "/data"})
    summary = fields.String()
