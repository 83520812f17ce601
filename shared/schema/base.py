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

from sqlalchemy import Boolean, Column, DateTime, MetaData, Numeric, Text, func
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE

from shared.model.records import VALUES, value_time

SCHEMA_REVISION = "0015"
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


def time_column(name: str, *, nullable: bool = False, now: bool = False) -> Column[object]:
    default = func.now() if now else None
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=default)


def value_columns() -> list[Column[object]]:
    return [Column(name, Numeric) for name in VALUES]


def value_time_columns() -> list[Column[object]]:
    """When each of an asset's values was observed; null where the value is."""
    return [time_column(value_time(name), nullable=True) for name in VALUES]


def activity_columns() -> list[Column[object]]:
    """Whether a source still lists an asset, and if not, since when none does."""
    return [
        Column("active", Boolean, nullable=False, server_default="true"),
        time_column("delisted_at", nullable=True),
    ]


BY_TIME = "RANGE (observed_at)"
"""How the large tables are partitioned; `worker.database.periods` defines the partitions."""


def received_columns() -> list[Column[object]]:
    """Columns that tell which record of one listing and instant counts: the one received last.

    `superseded_at` is when another was received after it; null for the record that counts. A record
    that is received again counts again: the period in between is added to `superseded_before`,
    which keeps the newest 200 periods (`statements.MOST_TIMES`). At times before these periods,
    every record of the instant counts.
    """
    return [
        time_column("superseded_at", nullable=True),
        Column("superseded_before", TSTZMULTIRANGE),
    ]
