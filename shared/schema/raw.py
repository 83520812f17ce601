"""Raw records as received, and what was pruned of them."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.model.catalogue import LISTING_SOURCES, SOURCES
from shared.schema.base import BY_TIME, Key, metadata, received_columns, time_column


def _raw_table(source: str, partition_by: str | None = None) -> Table:
    """The raw records of one source, as received; appended to. What they say never changes."""
    return Table(
        f"raw_{source}",
        metadata,
        time_column("observed_at"),
        time_column("ingested_at", now=True),
        Column("run_id", Integer, nullable=False),
        Column("external_id", Key, nullable=False),
        Column("payload_hash", LargeBinary, nullable=False),
        Column("payload", JSONB, nullable=False),
        *(received_columns() if partition_by else []),
        PrimaryKeyConstraint("observed_at", "external_id", "payload_hash"),
        postgresql_partition_by=partition_by,
    )


RAW = {source: _raw_table(source, BY_TIME) for source in LISTING_SOURCES}

RAW_LISTS = {source: _raw_table(source) for source in SOURCES if source not in RAW}
"""Of the sources that say which contracts a coin has, and nothing of its price.

Their records have no time of their own: `observed_at` is when the response was fetched, and a
record that says what the newest one of its external id says is unchanged.
"""

EVERY_RAW = {**RAW, **RAW_LISTS}

pruned_partitions = Table(
    "pruned_partitions",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("source", Key, nullable=False),
    Column("partition", Text, nullable=False),
    time_column("observed_from"),
    time_column("observed_until"),
    Column("records", BigInteger, nullable=False),
    Column("archive", Text),
    Column("digest", LargeBinary),
    time_column("pruned_at", now=True),
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
