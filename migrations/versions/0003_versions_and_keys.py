"""What the API reads beyond the data: what changed since, runs by phase, and its clients' keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WATCHED = ("assets", "listings", "runs", "checkpoints", "rejects", "drift", "api_keys")

# Every commit that a reader can see says so to whoever listens; once a transaction, for Postgres
# sends equal notifications as one.
CREATE_NOTIFIER = """
CREATE FUNCTION notify_readers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('kasparro_changes', '');
  RETURN NULL;
END
$$
"""

# A removed asset leaves its version behind, so that a mirror that asks what changed hears of it.
# Whoever deletes assets holds the identity lock, as for every other version. What was made in the
# same transaction was never seen.
CREATE_REMOVAL_RECORDER = """
CREATE FUNCTION record_removed_assets() RETURNS trigger LANGUAGE plpgsql AS $$
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

# What an asset was before a change stays for an hour: a walk through pages shows the assets as they
# were when it began. What no other transaction ever saw is not kept. To look for older ones costs
# a scan, so that it is done every few minutes.
CREATE_HISTORY_RECORDER = """
CREATE FUNCTION record_replaced_assets() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE_NOTE_VERSION = """
CREATE FUNCTION note_version(newest bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE dataset SET version = newest, changed_at = clock_timestamp() WHERE version < newest
$$
"""

CREATE_VERSION_RECORDER = """
CREATE FUNCTION record_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_version((SELECT max(version) FROM changed));
  RETURN NULL;
END
$$
"""

COLUMNS = (
    *("slug", "symbol", "name"),
    *("price_usd", "market_cap_usd", "volume_24h_usd"),
    *("circulating_supply", "total_supply", "max_supply"),
    *("observed_at", "source_count", "sources", "price_spread_percent"),
    *("version", "created_at", "updated_at"),
)

# In one column and one case, where one comparison of bytes finds it.
SEARCH_TEXT = "lower(name) || chr(10) || lower(symbol) || chr(10) || lower(slug)"


def upgrade() -> None:
    op.create_table(
        "removed_assets",
        sa.Column("asset_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slug", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", name="pk_removed_assets"),
    )
    op.create_index("ix_removed_assets_version", "removed_assets", ["version"])
    op.add_column(
        "assets",
        sa.Column("search_text", sa.Text(collation="C"), sa.Computed(SEARCH_TEXT, persisted=True)),
    )
    op.add_column(
        "assets", sa.Column("sources", ARRAY(sa.Text()), nullable=False, server_default="{}")
    )
    op.execute(
        "UPDATE assets AS a SET sources = l.sources FROM ("
        "SELECT asset_id, array_agg(DISTINCT source ORDER BY source) AS sources "
        "FROM listings GROUP BY asset_id) AS l WHERE l.asset_id = a.id"
    )
    op.create_table(
        "asset_history",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slug", sa.Text(collation="C"), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Numeric()) for name in COLUMNS[3:9]),
        sa.Column("observed_at", sa.DateTime(timezone=True)),
        sa.Column("source_count", sa.SmallInteger(), nullable=False),
        sa.Column("sources", ARRAY(sa.Text()), nullable=False),
        sa.Column("price_spread_percent", sa.Numeric()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("search_text", sa.Text(collation="C"), sa.Computed(SEARCH_TEXT, persisted=True)),
        sa.Column("replaced_by", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("replaced_by", name="pk_asset_history"),
    )
    op.create_table(
        "dataset",
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True)),
        sa.Column("known_from", sa.BigInteger(), nullable=False),
        sa.Column(
            "pruned_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
    )
    op.execute(
        "INSERT INTO dataset (version, changed_at, known_from) "
        "SELECT coalesce(max(version), 0), max(updated_at), coalesce(max(version), 0) FROM assets"
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.UniqueConstraint("name", name="uq_api_keys_name"),
    )
    op.create_index("ix_assets_version", "assets", ["version"])
    op.create_index(
        "ix_observations_run_id",
        "observations",
        ["run_id"],
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    op.add_column("runs", sa.Column("phase_seconds", JSONB(), nullable=False, server_default="{}"))
    op.create_index(
        "ix_rejects_open",
        "rejects",
        ["source", "id"],
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    for counter in ("prices_compared", "prices_jumped"):
        op.add_column(
            "runs", sa.Column(counter, sa.BigInteger(), nullable=False, server_default="0")
        )
    op.execute(CREATE_NOTIFIER)
    for table in WATCHED:
        op.execute(
            f"CREATE TRIGGER notify_readers AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE "
            f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION notify_readers()"
        )
    names = {
        "columns": ", ".join(COLUMNS),
        "r_columns": ", ".join(f"r.{name}" for name in COLUMNS),
    }
    op.execute(CREATE_NOTE_VERSION)
    op.execute(CREATE_REMOVAL_RECORDER.format(**names))
    op.execute(
        "CREATE TRIGGER record_removed_assets AFTER DELETE ON assets "
        "REFERENCING OLD TABLE AS removed "
        "FOR EACH STATEMENT EXECUTE FUNCTION record_removed_assets()"
    )
    op.execute(CREATE_VERSION_RECORDER)
    op.execute(
        "CREATE TRIGGER record_version AFTER INSERT ON assets REFERENCING NEW TABLE AS changed "
        "FOR EACH STATEMENT EXECUTE FUNCTION record_version()"
    )
    op.execute(CREATE_HISTORY_RECORDER.format(**names))
    op.execute(
        "CREATE TRIGGER record_replaced_assets AFTER UPDATE ON assets "
        "REFERENCING OLD TABLE AS replaced NEW TABLE AS changed "
        "FOR EACH STATEMENT EXECUTE FUNCTION record_replaced_assets()"
    )
    for table in ("removed_assets", "asset_history", "dataset", "api_keys"):
        op.execute(f"GRANT SELECT ON {table} TO kasparro_reader")


def downgrade() -> None:
    for recorder in ("record_replaced_assets", "record_removed_assets", "record_version"):
        op.execute(f"DROP TRIGGER {recorder} ON assets")
        op.execute(f"DROP FUNCTION {recorder}()")
    op.execute("DROP FUNCTION note_version(bigint)")
    for table in WATCHED:
        op.execute(f"DROP TRIGGER notify_readers ON {table}")
    op.execute("DROP FUNCTION notify_readers()")
    for column in ("prices_jumped", "prices_compared", "phase_seconds"):
        op.drop_column("runs", column)
    op.drop_index("ix_rejects_open", table_name="rejects")
    op.drop_index("ix_observations_run_id", table_name="observations")
    op.drop_index("ix_assets_version", table_name="assets")
    op.drop_table("api_keys")
    op.drop_table("dataset")
    op.drop_table("asset_history")
    op.drop_column("assets", "search_text")
    op.drop_column("assets", "sources")
    op.drop_table("removed_assets")
