"""Assets, listings and observations: what the API serves."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.model.records import VALUES
from shared.schema.base import (
    BY_TIME,
    Key,
    activity_columns,
    metadata,
    received_columns,
    time_column,
    value_columns,
    value_time_columns,
)


def _search_text() -> Column[object]:
    """All that an asset is or was called, in lower case, each on a line.

    A search compares bytes, once a row.
    """
    labels = (
        "lower(name) || chr(10) || lower(symbol) || chr(10) || lower(slug)"
        " || chr(10) || lower(former_names)"
    )
    return Column("search_text", Key, Computed(labels, persisted=True))


observations = Table(
    "observations",
    metadata,
    time_column("observed_at"),
    Column("listing_id", Integer, nullable=False),
    Column("run_id", Integer, nullable=False),
    time_column("ingested_at", now=True),
    Column("payload_hash", LargeBinary, nullable=False),
    *value_columns(),
    *received_columns(),
    PrimaryKeyConstraint("listing_id", "observed_at", "payload_hash"),
    # What one run observed. Runs follow each other in the table as they were written, so that a
    # range of pages says where each is; a B-tree entry for each row would cost ten times as much.
    Index(None, "run_id", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    postgresql_partition_by=BY_TIME,
)

asset_version = Sequence("asset_version", metadata=metadata)
"""Drawn from under the identity lock alone, so that versions rise in commit order."""

assets = Table(
    "assets",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("slug", Key, nullable=False, unique=True),
    Column("symbol", Text, nullable=False),
    Column("name", Text, nullable=False),
    *value_columns(),
    *(Column(f"{name}_listing_id", Integer) for name in VALUES),
    *value_time_columns(),
    time_column("observed_at", nullable=True),
    Column("source_count", SmallInteger, nullable=False, server_default="0"),
    Column("sources", ARRAY(Text), nullable=False, server_default="{}"),
    Column("price_spread_percent", Numeric),
    Column("divergent", Boolean, nullable=False, server_default="false"),
    *activity_columns(),
    Column("former_names", Text, nullable=False, server_default=""),
    Column(
        "version",
        BigInteger,
        asset_version,
        nullable=False,
        server_default=asset_version.next_value(),
    ),
    time_column("created_at", now=True),
    time_column("updated_at", now=True),
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
    time_column("removed_at"),
)
"""What a trigger keeps of each deleted asset; its version is of the same sequence as theirs."""

dataset = Table(
    "dataset",
    metadata,
    Column("version", BigInteger, nullable=False),
    time_column("changed_at", nullable=True),
    Column("known_from", BigInteger, nullable=False),
    time_column("pruned_at", now=True),
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
    *value_columns(),
    *value_time_columns(),
    time_column("observed_at", nullable=True),
    Column("source_count", SmallInteger, nullable=False),
    Column("sources", ARRAY(Text), nullable=False),
    Column("price_spread_percent", Numeric),
    Column("divergent", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    time_column("delisted_at", nullable=True),
    Column("former_names", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    time_column("created_at"),
    time_column("updated_at"),
    _search_text(),
    Column("replaced_by", BigInteger, primary_key=True, autoincrement=False),
    time_column("replaced_at"),
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
    time_column("observed_at"),
    Column("payload_hash", LargeBinary, nullable=False),
    Column("received_digest", LargeBinary),
    *value_columns(),
    time_column("delisted_at", nullable=True),
    Column("match_method", Text, nullable=False),
    Column("match_score", Numeric(4, 3), nullable=False),
    Column("match_evidence", JSONB, nullable=False),
    time_column("created_at", now=True),
    time_column("updated_at", now=True),
    UniqueConstraint("source", "external_id"),
    Index(None, "name_key", "symbol_key"),
    postgresql_with={"fillfactor": "50"},
)
"""`received_digest` is of the bytes that the newest record was received in, and of the release that
read them (`recognition` says how); null where they are not known, or are to be read each time."""

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
    time_column("absent_since"),
    Column("snapshot", BigInteger, nullable=False),
    time_column("delisted_at", nullable=True),
    time_column("returned_at", nullable=True),
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
    time_column("decided_at", now=True),
    time_column("revoked_at", nullable=True),
    Index(None, "source", "external_id"),
)
"""What a person decided: that a source lists a listing no more. Ids are drawn with those of
`corrections`, so that one number names one decision."""

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
