"""Runs, checkpoints, rejects, drift, budgets and API keys."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    FromClause,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.schema.base import Key, metadata, time_column

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("error", Text),
    time_column("started_at", now=True),
    time_column("finished_at", nullable=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("cursor_before", JSONB),
    Column("cursor_after", JSONB),
    Column("requests", Integer, nullable=False, server_default="0"),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("pages_not_modified", Integer, nullable=False, server_default="0"),
    Column("batches", Integer, nullable=False, server_default="0"),
    Column("records_fetched", BigInteger, nullable=False, server_default="0"),
    Column("records_new", BigInteger, nullable=False, server_default="0"),
    Column("records_unchanged", BigInteger, nullable=False, server_default="0"),
    Column("records_rejected", BigInteger, nullable=False, server_default="0"),
    Column("records_revised", BigInteger, nullable=False, server_default="0"),
    Column("records_unreadable", BigInteger, nullable=False, server_default="0"),
    Column("reads_anew", Boolean, nullable=False, server_default="false"),
    Column("records_known", BigInteger, nullable=False, server_default="0"),
    Column("phase_seconds", JSONB, nullable=False, server_default="{}"),
    Column("prices_compared", BigInteger, nullable=False, server_default="0"),
    Column("prices_jumped", BigInteger, nullable=False, server_default="0"),
    Column("ids_replaced", BigInteger, nullable=False, server_default="0"),
    Column("rejects_dropped", BigInteger, nullable=False, server_default="0"),
    Column("rejects_dropped_reasons", JSONB, nullable=False, server_default="{}"),
    CheckConstraint(
        "records_fetched = records_new + records_unchanged + records_rejected", name="counts_add_up"
    ),
    CheckConstraint(
        "outcome IN ('running', 'succeeded', 'partial', 'failed')", name="outcome_is_known"
    ),
    Index(None, "source", "id"),
    Index(None, "source", "started_at"),
    Index(
        "ix_runs_succeeded_started_at",
        "source",
        "started_at",
        postgresql_where=text("outcome = 'succeeded'"),
    ),
    Index(
        "ix_runs_unsuccessful",
        "source",
        "id",
        postgresql_where=text("command = 'run' AND outcome IN ('partial', 'failed')"),
    ),
    Index(
        "ix_runs_succeeded",
        "source",
        "id",
        postgresql_where=text("command = 'run' AND outcome = 'succeeded'"),
    ),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("source", Text, primary_key=True),
    Column("cursor", JSONB),
    Column("validators", JSONB, nullable=False, server_default="{}"),
    Column("run_id", Integer, ForeignKey("runs.id"), nullable=False),
    Column("batches", BigInteger, nullable=False, server_default="0"),
    Column("records_fetched", BigInteger, nullable=False, server_default="0"),
    Column("records_new", BigInteger, nullable=False, server_default="0"),
    Column("records_unchanged", BigInteger, nullable=False, server_default="0"),
    Column("records_rejected", BigInteger, nullable=False, server_default="0"),
    Column("snapshot_progress", BigInteger, nullable=False, server_default="0"),
    Column("snapshot_records", BigInteger),
    Column("snapshots", BigInteger, nullable=False, server_default="0"),
    time_column("snapshot_at", nullable=True),
    time_column("last_success_at", nullable=True),
    time_column("last_failure_at", nullable=True),
    time_column("updated_at", now=True),
    time_column("cleared_at", nullable=True),
)

rejects = Table(
    "rejects",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    Column("external_id", Text),
    Column("position", Text, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("payload_hash", LargeBinary, nullable=False),
    Column("first_run_id", Integer, nullable=False),
    Column("last_run_id", Integer, nullable=False),
    Column("times_seen", BigInteger, nullable=False, server_default="1"),
    time_column("first_seen_at", now=True),
    time_column("last_seen_at", now=True),
    time_column("resolved_at", nullable=True),
    Column("dismissed_by", Text),
    Column("dismissed_reason", Text),
    Column("file", Text),
    Column("declaration", Text),
    UniqueConstraint("source", "payload_hash"),
    Index("ix_rejects_open", "source", "id", postgresql_where=text("resolved_at IS NULL")),
)
"""Refused payloads. Open while `resolved_at` is null; one that was dismissed has its reason too."""


def has_state(state: str) -> ColumnElement[bool]:
    """Whether a reject is in one of `shared.model.runs.REJECT_STATES`."""
    is_open = rejects.c.resolved_at.is_(None)
    if state == "open":
        return is_open
    is_dismissed = rejects.c.dismissed_reason.is_not(None)
    return is_dismissed if state == "dismissed" else and_(~is_open, ~is_dismissed)


def has_reason(part: str) -> ColumnElement[bool]:
    """Whether a text is a part of one of a reject's reasons."""
    reason = func.jsonb_array_elements_text(rejects.c.reasons).table_valued("value")
    return select(reason.c.value).where(func.strpos(reason.c.value, part) > 0).exists()


KIND_OF_REASON = r"""left(regexp_replace(regexp_replace(regexp_replace(
  reason, '''[^'']*''|"[^"]*"', '…', 'g'), '\m\d+\M(?!\))', '#', 'g'),
  '^([^:]*: [^:]*):.*$', '\1'), 200)"""
"""SQL: the kind of a `reason`, without the values in it. The name of the column stays.

Values are quoted text, whole numbers, and the text from the second colon on.
"""


def reasons_by_kind(of: FromClause, counted_as: str) -> Select[Any]:
    """Count rejects by source and kind of reason, those with the most rejects first.

    `of` is the table of rejects, or some of its rows. A reject with reasons of two kinds counts in
    both. Columns: `source`, `reason` (the kind), the number under the name `counted_as`, and an
    `example` of a reason.
    """
    each = func.jsonb_array_elements_text(of.c.reasons).table_valued("reason")
    each = each.render_derived(name="each_reason")
    kind: ColumnElement[str] = literal_column(KIND_OF_REASON)
    number = func.count(of.c.id.distinct())
    return (
        select(
            of.c.source,
            kind.label("reason"),
            number.label(counted_as),
            func.min(each.c.reason).label("example"),
        )
        .select_from(of.join(each, onclause=true()))
        .group_by(of.c.source, kind)
        .order_by(number.desc(), of.c.source, kind)
    )


pruned_rejects = Table(
    "pruned_rejects",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    time_column("seen_before"),
    Column("rejects", BigInteger, nullable=False),
    Column("times_seen", BigInteger, nullable=False),
    Column("archive", Text),
    Column("digest", LargeBinary),
    time_column("pruned_at", now=True),
)
"""Refused payloads that are here no more: those of a source that were seen last before a time, and
how often they had been seen. `archive` is the file that has them, null where they were dropped."""

drift = Table(
    "drift",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("first_run_id", Integer, nullable=False),
    Column("last_run_id", Integer, nullable=False),
    Column("records", BigInteger, nullable=False),
    time_column("first_seen_at", now=True),
    time_column("last_seen_at", now=True),
    time_column("acknowledged_at", nullable=True),
    Column("share", Numeric, nullable=False, server_default="0"),
    Column("example", JSONB, nullable=False, server_default="{}"),
    UniqueConstraint("source", "path", "kind"),
)

shapes = Table(
    "shapes",
    metadata,
    Column("source", Text, primary_key=True),
    Column("command", Text, primary_key=True),
    Column("family", Text, primary_key=True, server_default=""),
    Column("path", Key, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("last_run_records", BigInteger, nullable=False),
    Column("first_run_id", Integer, nullable=False),
    Column("last_run_id", Integer, nullable=False),
    Column("records_since", BigInteger, nullable=False),
    Column("records_before", BigInteger, nullable=False),
    Column("records_until", BigInteger, nullable=False),
    Column("example", JSONB, nullable=False),
    time_column("first_seen_at", now=True),
    time_column("last_seen_at", now=True),
)

request_budgets = Table(
    "request_budgets",
    metadata,
    Column("source", Text, primary_key=True),
    Column("month", Date, nullable=False),
    Column("requests", BigInteger, nullable=False, server_default="0"),
    time_column("next_request_at"),
    time_column("updated_at", now=True),
    time_column("paused_at", nullable=True),
    time_column("paused_until", nullable=True),
    Column("pause_reason", Text),
    Column("pause_said", Text),
)
"""Requests of a month by provider, when the next may go by its pace, and a pause that the provider
asked for. `pause_reason` is `rate_limited` or `budget_spent`, `pause_said` a message."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    time_column("created_at", now=True),
    time_column("expires_at", nullable=True),
    time_column("revoked_at", nullable=True),
)
"""Who may ask the API where it wants a key: the SHA-256 of a random key, never the key."""
