"""When each value was observed, listings that are gone, and revisions within an instant."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, TSTZMULTIRANGE

from migrations.locking import lock_exclusively

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = sa.Text(collation="C")

RAW = ("coinpaprika", "coingecko", "csv")

RECEIVED = (*(f"raw_{source}" for source in RAW), "observations")

CHANGED = ("assets", "asset_history", "listings", *RECEIVED, "runs", "checkpoints")

ADDED = ("snapshot_pages", "absences", "retirements")

VALUE_TIMES = {
    "price_usd": "price_observed_at",
    "market_cap_usd": "market_cap_observed_at",
    "volume_24h_usd": "volume_24h_observed_at",
    "circulating_supply": "circulating_supply_observed_at",
    "total_supply": "total_supply_observed_at",
    "max_supply": "max_supply_observed_at",
}

ORIGINS = tuple(f"{value}_listing_id" for value in VALUE_TIMES)

SPREAD = ("price_spread_percent", "divergent")

RUN_COUNTS = ("records_revised", "records_unreadable")

COLUMNS_BEFORE = (
    *("slug", "symbol", "name", *VALUE_TIMES),
    *("observed_at", "source_count", "sources", "price_spread_percent"),
    *("version", "created_at", "updated_at", "divergent", "former_names"),
)

COLUMNS = (*COLUMNS_BEFORE, *VALUE_TIMES.values(), "active", "delisted_at")

# As in 0004, of the columns of this revision.
REMOVAL_RECORDER = """
CREATE OR REPLACE FUNCTION record_removed_assets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  WITH tombstones AS (
    INSERT INTO removed_assets (asset_id, slug, version, removed_at)
    SELECT id, slug, nextval('asset_version'), clock_timestamp()
    FROM removed WHERE created_at <> now()
    RETURNING asset_id, version
  )
  INSERT INTO asset_history ({columns}, id, replaced_by, replaced_at)
  SELECT {r_columns}, r.id, t.version, clock_timestamp()
  FROM removed AS r JOIN tombstones AS t ON t.asset_id = r.id;
  PERFORM note_version((SELECT max(version) FROM removed_assets));
  RETURN NULL;
END
$$
"""

HISTORY_RECORDER = """
CREATE OR REPLACE FUNCTION record_replaced_assets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO asset_history ({columns}, id, replaced_by, replaced_at)
  SELECT {r_columns}, r.id, c.version, clock_timestamp()
  FROM replaced AS r JOIN changed AS c ON c.id = r.id
  WHERE r.version <> c.version AND r.created_at <> now();
  IF (SELECT pruned_at < now() - interval '5 minutes' FROM dataset) THEN
    WITH forgotten AS (
      DELETE FROM asset_history WHERE replaced_at < now() - interval '1 hour' RETURNING replaced_by
    )
    UPDATE dataset SET pruned_at = now(),
      known_from = greatest(known_from, (SELECT max(replaced_by) FROM forgotten));
  END IF;
  PERFORM note_version((SELECT max(version) FROM changed));
  RETURN NULL;
END
$$
"""

# Every observation is read here, and none is locked against readers yet. Writers wait: what they
# add would be missed. In which order the records of one instant came is not known: the greatest
# hash, which prevailed until this migration, still does, so that no listing changes.
FIND_SUPERSEDED = """
LOCK TABLE raw_coinpaprika, raw_coingecko, raw_csv, observations IN SHARE MODE;
SET LOCAL enable_partitionwise_aggregate = on;
CREATE TEMPORARY TABLE superseded ON COMMIT DROP AS
SELECT * FROM (
  SELECT o.listing_id, o.observed_at, o.payload_hash, row_number() OVER of_instant AS place,
         greatest(o.ingested_at, first_value(o.ingested_at) OVER of_instant) AS superseded_at
  FROM (
    SELECT listing_id, observed_at FROM observations
    GROUP BY listing_id, observed_at HAVING count(*) > 1
  ) AS doubled
  JOIN observations AS o USING (listing_id, observed_at)
  WINDOW of_instant AS (PARTITION BY o.listing_id, o.observed_at ORDER BY o.payload_hash DESC)
) AS placed
WHERE place > 1;
ANALYZE superseded
"""

SUPERSEDE_OBSERVATIONS = """
UPDATE observations AS o SET superseded_at = s.superseded_at
FROM superseded AS s
WHERE o.listing_id = s.listing_id AND o.observed_at = s.observed_at
  AND o.payload_hash = s.payload_hash
"""

SUPERSEDE_RAW = """
UPDATE {raw} AS r SET superseded_at = s.superseded_at
FROM superseded AS s JOIN listings AS l ON l.id = s.listing_id
WHERE l.source = '{source}' AND r.external_id = l.external_id
  AND r.observed_at = s.observed_at AND r.payload_hash = s.payload_hash
"""

# As it was before this revision: of one instant the greatest hash counts. What the coin is called
# may be of the other record; `worker reprocess` reads that anew.
RESTORE_LISTINGS = """
LOCK TABLE listings, assets IN SHARE ROW EXCLUSIVE MODE;
UPDATE listings AS l
SET payload_hash = o.payload_hash, run_id = o.run_id, {set_values}, updated_at = now()
FROM (
  SELECT DISTINCT ON (o.listing_id) o.*
  FROM listings AS l JOIN observations AS o ON o.listing_id = l.id AND o.observed_at = l.observed_at
  ORDER BY o.listing_id, o.payload_hash DESC
) AS o
WHERE o.listing_id = l.id AND o.payload_hash > l.payload_hash
"""

# Values follow a stricter rule since: `0007_unified.sql` is what it is at this revision, and
# `0006_unified.sql` what it was. An asset that reads otherwise gets a new version, so that readers
# notice; the others keep theirs.
UNIFY = """
UPDATE assets AS a
SET {set_columns},
    version = CASE WHEN ({a_values}) IS DISTINCT FROM ({u_values})
                   THEN nextval('asset_version') ELSE a.version END,
    updated_at = CASE WHEN ({a_values}) IS DISTINCT FROM ({u_values})
                      THEN clock_timestamp() ELSE a.updated_at END
FROM ({unified}) AS u WHERE u.asset_id = a.id
"""


def upgrade() -> None:
    # Every observation is read, which takes as long as there are rows.
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(FIND_SUPERSEDED)
    lock_exclusively(*CHANGED)
    for table in RECEIVED:
        op.add_column(table, _time("superseded_at", nullable=True))
        op.add_column(table, sa.Column("superseded_before", TSTZMULTIRANGE()))
    op.execute(SUPERSEDE_OBSERVATIONS)
    for source in RAW:
        op.execute(SUPERSEDE_RAW.format(raw=f"raw_{source}", source=source))
    for count in RUN_COUNTS:
        op.add_column("runs", _count(count))
    op.add_column(
        "runs", sa.Column("reads_anew", sa.Boolean(), nullable=False, server_default="false")
    )
    op.add_column("checkpoints", _count("snapshots"))
    op.add_column("checkpoints", _time("snapshot_at", nullable=True))
    _create_tables()
    op.add_column("listings", _time("delisted_at", nullable=True))
    for table in ("assets", "asset_history"):
        for column in VALUE_TIMES.values():
            op.add_column(table, _time(column, nullable=True))
        op.add_column(
            table, sa.Column("active", sa.Boolean(), nullable=False, server_default="true")
        )
        op.add_column(table, _time("delisted_at", nullable=True))
    op.alter_column("asset_history", "active", server_default=None)
    _record(COLUMNS)
    columns = (*VALUE_TIMES, *ORIGINS, *VALUE_TIMES.values(), "active", "delisted_at", *SPREAD)
    _unify("0007_unified.sql", columns, (*VALUE_TIMES, *SPREAD))


def _create_tables() -> None:
    op.create_table(
        "snapshot_pages",
        sa.Column("source", KEY, nullable=False),
        sa.Column("page", KEY, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("external_ids", ARRAY(sa.Text()), nullable=False),
        sa.Column("seen", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("source", "page", "part", name="pk_snapshot_pages"),
    )
    op.create_table(
        "absences",
        sa.Column("source", KEY, nullable=False),
        sa.Column("external_id", KEY, nullable=False),
        _time("absent_since", nullable=False),
        sa.Column("snapshot", sa.BigInteger(), nullable=False),
        _time("delisted_at", nullable=True),
        _time("returned_at", nullable=True),
        sa.PrimaryKeyConstraint("source", "external_id", "absent_since", name="pk_absences"),
    )
    op.create_table(
        "retirements",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", KEY, nullable=False),
        sa.Column("external_id", KEY, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "decided_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        _time("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_retirements"),
    )
    op.create_index("ix_retirements_source_external_id", "retirements", ["source", "external_id"])
    for table in ADDED:
        op.execute(f"GRANT SELECT ON {table} TO kasparro_reader")


def _count(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def _time(name: str, *, nullable: bool) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _record(columns: tuple[str, ...]) -> None:
    names = {"columns": ", ".join(columns), "r_columns": ", ".join(f"r.{n}" for n in columns)}
    op.execute(REMOVAL_RECORDER.format(**names))
    op.execute(HISTORY_RECORDER.format(**names))


def _unify(file: str, columns: tuple[str, ...], compared: tuple[str, ...]) -> None:
    """Set these columns of all assets by a rule; `compared` are those that a reader sees."""
    op.execute(
        UNIFY.format(
            set_columns=", ".join(f"{column} = u.{column}" for column in columns),
            a_values=", ".join(f"a.{column}" for column in compared),
            u_values=", ".join(f"u.{column}" for column in compared),
            unified=Path(__file__).with_name(file).read_text(encoding="utf-8"),
        )
    )


def downgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    set_values = ", ".join(f"{value} = o.{value}" for value in VALUE_TIMES)
    op.execute(RESTORE_LISTINGS.format(set_values=set_values))
    read = ("symbol", "name", *VALUE_TIMES, "observed_at", "source_count", "sources", *SPREAD)
    _unify("0006_unified.sql", (*read, *ORIGINS), read)
    lock_exclusively(*CHANGED, *ADDED)
    _record(COLUMNS_BEFORE)
    for table in ("assets", "asset_history"):
        for column in (*VALUE_TIMES.values(), "active", "delisted_at"):
            op.drop_column(table, column)
    op.drop_column("listings", "delisted_at")
    for table in ADDED:
        op.drop_table(table)
    for column in ("snapshot_at", "snapshots"):
        op.drop_column("checkpoints", column)
    for column in ("reads_anew", *RUN_COUNTS):
        op.drop_column("runs", column)
    for table in RECEIVED:
        op.drop_column(table, "superseded_before")
        op.drop_column(table, "superseded_at")
