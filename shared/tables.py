"""The schema, once: Core tables and a naming convention.

Sized for 20 000 assets and a full snapshot every 5 minutes: 5 million observations a day.

- Numbers are `numeric` without a scale, so that every digit a source sent is kept.
- `raw_*` is keyed (observed_at, external_id, payload_hash): every lookup there has the whole key,
  and with the time first a snapshot is written to the right edge of the index instead of to one
  leaf page for each of 20 000 ids. `observations` is keyed listing first, since that is how a
  history is read. Both keys hold the time and the id: either table is partitioned by time, and can
  be distributed by id.
- `payload_hash` is the first 16 bytes of the SHA-256 of `payload::text`, computed by Postgres:
  anyone can check it with SQL, and spelling that JSONB does not keep (white space, the order of
  keys) makes no revision.
- Text that is a key has the collation "C": a server's other collations differ from one another, and
  an update of the operating system's changes their order under an index.
- `listings` is rewritten with each snapshot in columns that no index holds; half of each page is
  left free so that the new row version fits beside the old one (a HOT update, no index entries).
  `assets` has its market cap indexed, which rules HOT out; it keeps the usual fill.
- `observations` and `raw_*` carry no foreign keys: a check per row would be the dearest part of a
  batch that is one transaction anyway. `worker verify` looks for orphans instead.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZMULTIRANGE

from shared.records import VALUES, value_time

SCHEMA_REVISION = "0012"
"""The migration that builds these tables: Alembic's head, which the API may not import."""

CHANGES_CHANNEL = "kasparro_changes"
"""Where triggers notify whoever listens of each commit that a reader can see."""

READER_ROLE = "kasparro_reader"
"""The group role that may SELECT and nothing else; the API's login is a member of it."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


Key = Text(collation="C")
"""Text that is compared, not read: by code point, the same on every server and in every year."""


def _time(name: str, *, nullable: bool = False, now: bool = False) -> Column[object]:
    default = func.now() if now else None
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default)


def _values() -> list[Column[object]]:
    return [Column(name, Numeric) for name in VALUES]


def _value_times() -> list[Column[object]]:
    """When each of an asset's values was observed; null where the value is."""
    return [_time(value_time(name), nullable=True) for name in VALUES]


def _activity() -> list[Column[object]]:
    """Whether a source still lists an asset, and if not, since when none does."""
    return [
        Column("active", Boolean, nullable=False, server_default="true"),
        _time("delisted_at", nullable=True),
    ]


def _search_text() -> Column[object]:
    """All that an asset is or was called, in lower case, each on a line.

    A search compares bytes, once a row.
    """
    labels = (
        "lower(name) || chr(10) || lower(symbol) || chr(10) || lower(slug)"
        " || chr(10) || lower(former_names)"
    )
    return Column("search_text", Key, Computed(labels, persisted=True))


BY_TIME = "RANGE (observed_at)"
"""How the large tables are partitioned; what the partitions are, `shared.partitions` says."""


def _received() -> list[Column[object]]:
    """Which of the records of one listing and instant prevails: the one that was received last.

    `superseded_at` is when another was received after it, null of the one that prevails. One that
    was received again prevails again: the times in between are added to `superseded_before`, of
    which the newest 200 are kept (`worker.statements.MOST_TIMES`). Longer ago records that took
    turns so often all count.
    """
    return [_time("superseded_at", nullable=True), Column("superseded_before", TSTZMULTIRANGE)]


def _raw_table(source: str, partition_by: str | None = None) -> Table:
    """The raw records of one source, as received; appended to. What they say never changes."""
    return Table(
        f"raw_{source}",
        metadata,
        _time("observed_at"),
        _time("ingested_at", now=True),
        Column("run_id", Integer, nullable=False),
        Column("external_id", Key, nullable=False),
        Column("payload_hash", LargeBinary, nullable=False),
        Column("payload", JSONB, nullable=False),
        *(_received() if partition_by else []),
        PrimaryKeyConstraint("observed_at", "external_id", "payload_hash"),
        postgresql_partition_by=partition_by,
    )


RAW = {source: _raw_table(source, BY_TIME) for source in ("coinpaprika", "coingecko", "csv")}

RAW_LISTS = {source: _raw_table(source) for source in ("coingecko_coins", "coinpaprika_contracts")}
"""Of the sources that say which contracts a coin has, and nothing of its price.

Their records have no time of their own: `observed_at` is when the response was fetched, and a
record that says what the newest one of its external id says is unchanged.
"""

EVERY_RAW = {**RAW, **RAW_LISTS}

observations = Table(
    "observations",
    metadata,
    _time("observed_at"),
    Column("listing_id", Integer, nullable=False),
    Column("run_id", Integer, nullable=False),
    _time("ingested_at", now=True),
    Column("payload_hash", LargeBinary, nullable=False),
    *_values(),
    *_received(),
    PrimaryKeyConstraint("listing_id", "observed_at", "payload_hash"),
    # What one run observed. Runs follow each other in the table as they were written, so that a
    # range of pages says where each is; a B-tree entry for each row would cost ten times as much.
    Index(None, "run_id", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    postgresql_partition_by=BY_TIME,
)

pruned_partitions = Table(
    "pruned_partitions",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("source", Key, nullable=False),
    Column("partition", Text, nullable=False),
    _time("observed_from"),
    _time("observed_until"),
    Column("records", BigInteger, nullable=False),
    Column("archive", Text),
    Column("digest", LargeBinary),
    _time("pruned_at", now=True),
)
"""Raw records that are here no more: those of a source, observed in [from, until), that had come
before `pruned_at`. `archive` is the file that has them, null where they were dropped, and `digest`
its SHA-256. Their observations are kept."""

pruned_runs = Table(
    "pruned_runs",
    metadata,
    Column(
        "pruned_id",
        Integer,
        ForeignKey("pruned_partitions.id"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("records", BigInteger, nullable=False),
)
"""How many of the pruned records each run had brought."""

asset_version = Sequence("asset_version", metadata=metadata)
"""Drawn from under the identity lock alone, so that versions rise in commit order."""

assets = Table(
    "assets",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("slug", Key, nullable=False, unique=True),
    Column("symbol", Text, nullable=False),
    Column("name", Text, nullable=False),
    *_values(),
    *(Column(f"{name}_listing_id", Integer) for name in VALUES),
    *_value_times(),
    _time("observed_at", nullable=True),
    Column("source_count", SmallInteger, nullable=False, server_default="0"),
    Column("sources", ARRAY(Text), nullable=False, server_default="{}"),
    Column("price_spread_percent", Numeric),
    Column("divergent", Boolean, nullable=False, server_default="false"),
    *_activity(),
    Column("former_names", Text, nullable=False, server_default=""),
    Column(
        "version",
        BigInteger,
        asset_version,
        nullable=False,
        server_default=asset_version.next_value(),
    ),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    _search_text(),
    Index(
        "ix_assets_market_cap_usd_id",
        text("market_cap_usd DESC NULLS LAST"),
        text("id"),
    ),
    Index(None, "symbol"),
    Index(None, "version"),
)

asset_search = Table(
    "asset_search",
    metadata,
    Column("asset_id", Integer, primary_key=True, autoincrement=False),
    Column("labels", Key, nullable=False),
    # What was not sorted into the index yet is read by each search: 256 kB at most.
    Index(
        "ix_asset_search_labels",
        text("search_grams(labels)"),
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": "256"},
    ),
)
"""What each asset is or was called: its `search_text` after a line break, kept by triggers.

Apart from the values, so that the index changes with names alone. It finds texts by every three
characters that follow one another in them.
"""

removed_assets = Table(
    "removed_assets",
    metadata,
    Column("asset_id", Integer, primary_key=True, autoincrement=False),
    Column("slug", Key, nullable=False),
    Column("version", BigInteger, nullable=False, index=True),
    _time("removed_at"),
)
"""What a trigger keeps of each deleted asset; its version is of the same sequence as theirs."""

dataset = Table(
    "dataset",
    metadata,
    Column("version", BigInteger, nullable=False),
    _time("changed_at", nullable=True),
    Column("known_from", BigInteger, nullable=False),
    _time("pruned_at", now=True),
)
"""One row, kept by triggers: the newest version of all assets, removed ones too, and its time; and
the oldest version at which `asset_history` can still say how all of them were, and when it was
last looked through for what is older than an hour."""

asset_history = Table(
    "asset_history",
    metadata,
    Column("id", Integer, nullable=False, autoincrement=False),
    Column("slug", Key, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("name", Text, nullable=False),
    *_values(),
    *_value_times(),
    _time("observed_at", nullable=True),
    Column("source_count", SmallInteger, nullable=False),
    Column("sources", ARRAY(Text), nullable=False),
    Column("price_spread_percent", Numeric),
    Column("divergent", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    _time("delisted_at", nullable=True),
    Column("former_names", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    _time("created_at"),
    _time("updated_at"),
    _search_text(),
    Column("replaced_by", BigInteger, primary_key=True, autoincrement=False),
    _time("replaced_at"),
)
"""Assets as they were before a change, kept by a trigger: with `assets` they say how all of them
were at any version of the last hour."""

listings = Table(
    "listings",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("asset_id", Integer, ForeignKey("assets.id"), nullable=False, index=True),
    Column("run_id", Integer, nullable=False),
    Column("source", Key, nullable=False),
    Column("external_id", Key, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("symbol_key", Key, nullable=False),
    Column("name_key", Key, nullable=False),
    _time("observed_at"),
    Column("payload_hash", LargeBinary, nullable=False),
    Column("received_digest", LargeBinary),
    *_values(),
    _time("delisted_at", nullable=True),
    Column("match_method", Text, nullable=False),
    Column("match_score", Numeric(4, 3), nullable=False),
    Column("match_evidence", JSONB, nullable=False),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    UniqueConstraint("source", "external_id"),
    Index(None, "name_key", "symbol_key"),
    postgresql_with={"fillfactor": "50"},
)
"""`received_digest` is of the bytes that the newest record was received in, and of the release that
read them (`worker.recognition`); null where they are not known, or are to be read each time."""

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("error", Text),
    _time("started_at", now=True),
    _time("finished_at", nullable=True),
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
    _time("snapshot_at", nullable=True),
    _time("last_success_at", nullable=True),
    _time("last_failure_at", nullable=True),
    _time("updated_at", now=True),
    _time("cleared_at", nullable=True),
)

snapshot_pages = Table(
    "snapshot_pages",
    metadata,
    Column("source", Key, primary_key=True),
    Column("page", Key, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("external_ids", ARRAY(Text), nullable=False),
    Column("seen", Boolean, nullable=False),
)
"""Which ids each page of a source held when it was last read, a row for each batch of the page.

`seen` are those of the snapshot under way, or of the last one: read, or answered as not modified.
"""

absences = Table(
    "absences",
    metadata,
    Column("source", Key, nullable=False),
    Column("external_id", Key, nullable=False),
    _time("absent_since"),
    Column("snapshot", BigInteger, nullable=False),
    _time("delisted_at", nullable=True),
    _time("returned_at", nullable=True),
    PrimaryKeyConstraint("source", "external_id", "absent_since"),
)
"""Listings that whole snapshots of their source did not hold.

`absent_since` and `snapshot` are the time and the number of the first of these snapshots,
`delisted_at` is the time of the one with which there were enough (`Expectations.delisted`). One
that returned before that is deleted; a later return is noted.
"""

retirements = Table(
    "retirements",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("source", Key, nullable=False),
    Column("external_id", Key, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _time("decided_at", now=True),
    _time("revoked_at", nullable=True),
    Index(None, "source", "external_id"),
)
"""What a person decided: that a source lists a listing no more. Ids are drawn with those of
`corrections`, so that one number names one decision."""

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
    _time("first_seen_at", now=True),
    _time("last_seen_at", now=True),
    _time("resolved_at", nullable=True),
    Column("dismissed_by", Text),
    Column("dismissed_reason", Text),
    Column("file", Text),
    Column("declaration", Text),
    UniqueConstraint("source", "payload_hash"),
    Index("ix_rejects_open", "source", "id", postgresql_where=text("resolved_at IS NULL")),
)
"""Refused payloads. Open while `resolved_at` is null; one that was dismissed has its reason too."""


def has_state(state: str) -> ColumnElement[bool]:
    """Whether a reject is in one of `shared.runs.REJECT_STATES`."""
    is_open = rejects.c.resolved_at.is_(None)
    if state == "open":
        return is_open
    is_dismissed = rejects.c.dismissed_reason.is_not(None)
    return is_dismissed if state == "dismissed" else and_(~is_open, ~is_dismissed)


def has_reason(part: str) -> ColumnElement[bool]:
    """Whether a text is a part of one of a reject's reasons."""
    reason = func.jsonb_array_elements_text(rejects.c.reasons).table_valued("value")
    return select(reason.c.value).where(func.strpos(reason.c.value, part) > 0).exists()


pruned_rejects = Table(
    "pruned_rejects",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    _time("seen_before"),
    Column("rejects", BigInteger, nullable=False),
    Column("times_seen", BigInteger, nullable=False),
    Column("archive", Text),
    Column("digest", LargeBinary),
    _time("pruned_at", now=True),
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
    _time("first_seen_at", now=True),
    _time("last_seen_at", now=True),
    _time("acknowledged_at", nullable=True),
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
    _time("first_seen_at", now=True),
    _time("last_seen_at", now=True),
)

request_budgets = Table(
    "request_budgets",
    metadata,
    Column("source", Text, primary_key=True),
    Column("month", Date, nullable=False),
    Column("requests", BigInteger, nullable=False, server_default="0"),
    _time("next_request_at"),
    _time("updated_at", now=True),
    _time("paused_at", nullable=True),
    _time("paused_until", nullable=True),
    Column("pause_reason", Text),
    Column("pause_said", Text),
)
"""Requests of a month by provider, when the next may go by its pace, and a pause that the provider
asked for. `pause_reason` is `rate_limited` or `budget_spent`, `pause_said` a message."""

identity_events = Table(
    "identity_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _time("at", now=True),
    Column("run_id", Integer),
    Column("listing_id", Integer, nullable=False),
    Column("from_asset_id", Integer),
    Column("to_asset_id", Integer, nullable=False),
    Column("method", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("decided_by", Text),
    Column("reason", Text),
    Index(None, "listing_id"),
)

listing_names = Table(
    "listing_names",
    metadata,
    Column("listing_id", Integer, primary_key=True, autoincrement=False),
    Column("symbol", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("symbol_key", Key, nullable=False),
    _time("first_observed_at"),
    Index(None, "symbol_key"),
)
"""What a listing was ever called, and since when by its source's clock."""

contract_claims = Table(
    "contract_claims",
    metadata,
    Column("source", Key, primary_key=True),
    Column("external_id", Key, primary_key=True),
    _time("observed_at"),
    Column("payload_hash", LargeBinary, nullable=False),
    Column("coin", Key, nullable=False),
    Column("contracts", JSONB, nullable=False),
)
"""What each record of the sources in `RAW_LISTS` said last, and when it was last seen.

`coin` is the external id of the provider's listing, `contracts` its [chain, address] pairs. The raw
record of that hash may be older: one that says the same is not stored again.
"""

contracts = Table(
    "contracts",
    metadata,
    Column("source", Key, primary_key=True),
    Column("external_id", Key, primary_key=True),
    Column("chain", Key, primary_key=True),
    Column("address", Key, primary_key=True),
    Index(None, "chain", "address"),
)
"""The contracts that a source gives for a listing of its own, which need not be there yet.

`source` is the listing's (`coingecko`, not `coingecko_coins`); chains and addresses are normalised.
"""

crosswalk = Table(
    "crosswalk",
    metadata,
    Column("source", Key, primary_key=True),
    Column("external_id", Key, primary_key=True),
    Column("asset", Key, nullable=False, index=True),
)
"""What the files in `data/identity` say: listings of one `asset` are one, of two are two."""

corrections = Table(
    "corrections",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("source", Key, nullable=False),
    Column("external_id", Key, nullable=False),
    Column("other_source", Key, nullable=False),
    Column("other_external_id", Key, nullable=False),
    Column("same", Boolean, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _time("decided_at", now=True),
    _time("revoked_at", nullable=True),
    Index(None, "source", "external_id"),
    Index(None, "other_source", "other_external_id"),
)
"""What a person decided: that two listings are one asset, or are not. Kept through a reprocess."""

matches = Table(
    "matches",
    metadata,
    Column("listing_id", Integer, primary_key=True, autoincrement=False),
    Column("other_listing_id", Integer, primary_key=True, autoincrement=False),
    Column("method", Text, nullable=False),
    Column("score", Numeric(4, 3), nullable=False),
    Column("verdict", Text, nullable=False),
    Column("prices", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    _time("decided_at", now=True),
    CheckConstraint("verdict IN ('linked', 'review')", name="verdict_is_known"),
    CheckConstraint(
        "prices IN ('agree', 'differ', 'unknown', 'disputed')", name="prices_are_known"
    ),
    Index(None, "other_listing_id"),
)
"""Pairs of listings that may be one asset: linked, or for a person to review.

The first is the lesser by source and external id. `prices` says how their prices compare:
`disputed` where they differ now and that does not last yet.
"""

compared_pairs = Table(
    "compared_pairs",
    metadata,
    Column("listing_id", Integer, primary_key=True, autoincrement=False),
    Column("other_listing_id", Integer, primary_key=True, autoincrement=False),
    _time("compared_at", nullable=True),
    _time("agreed_at", nullable=True),
    _time("differs_since", nullable=True),
    _time("lasting_since", nullable=True),
    Column("verdict", Text, nullable=False),
    Column("is_shared", Boolean, nullable=False),
    CheckConstraint("listing_id < other_listing_id", name="pair_is_ordered"),
    CheckConstraint(
        "verdict IN ('agree', 'unknown', 'disputed', 'broken', 'differ')", name="verdict_is_known"
    ),
    Index(None, "other_listing_id"),
    Index("ix_compared_pairs_broken", "verdict", postgresql_where=text("verdict = 'broken'")),
)
"""The pairs of listings that identity compared, and what their prices said over time.

What the columns mean, `worker/pairs.sql` says.
"""

pending_ids = Table(
    "pending_ids",
    metadata,
    Column("source", Key, primary_key=True),
    Column("external_id", Key, primary_key=True),
)
"""Ids of a run in which most of a source's ids were new under symbols and names that others had.

No evidence links them, and they are no namesakes, until `worker checkpoint clear` accepts them.
Kept through a reprocess, like the corrections: no raw record says it.
"""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    _time("created_at", now=True),
    _time("expires_at", nullable=True),
    _time("revoked_at", nullable=True),
)
"""Who may ask the API where it wants a key: the SHA-256 of a random key, never the key."""
