"""Which coin it is: names it had, contracts, what people decided; and when a record came in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.Text(collation="C")

# As in 0003, of the columns that there are since.
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

COLUMNS_BEFORE = (
    *("slug", "symbol", "name"),
    *("price_usd", "market_cap_usd", "volume_24h_usd"),
    *("circulating_supply", "total_supply", "max_supply"),
    *("observed_at", "source_count", "sources", "price_spread_percent"),
    *("version", "created_at", "updated_at"),
)

COLUMNS = (*COLUMNS_BEFORE, "divergent", "former_names")

LABELS = "lower(name) || chr(10) || lower(symbol) || chr(10) || lower(slug)"

# A price observed before this migration was ingested when its raw record was.
DATE_OBSERVATIONS = """
UPDATE observations AS o SET ingested_at = r.ingested_at
FROM listings AS l JOIN {raw} AS r ON r.external_id = l.external_id
WHERE l.id = o.listing_id AND l.source = '{source}'
  AND r.observed_at = o.observed_at AND r.payload_hash = o.payload_hash
"""

# The names of today; `worker reprocess` finds the earlier ones in the raw records.
NAME_LISTINGS = """
INSERT INTO listing_names (listing_id, symbol, name, symbol_key, first_observed_at)
SELECT l.id, l.symbol, l.name, l.symbol_key, min(o.observed_at)
FROM listings AS l JOIN observations AS o ON o.listing_id = l.id GROUP BY l.id
"""


def upgrade() -> None:
    for source in ("coingecko_coins", "coinpaprika_contracts"):
        op.create_table(
            f"raw_{source}",
            sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
            _now("ingested_at"),
            sa.Column("run_id", sa.Integer(), nullable=False),
            sa.Column("external_id", KEY, nullable=False),
            sa.Column("payload_hash", sa.LargeBinary(), nullable=False),
            sa.Column("payload", JSONB(), nullable=False),
            sa.PrimaryKeyConstraint(
                "observed_at", "external_id", "payload_hash", name=f"pk_raw_{source}"
            ),
        )
    op.create_table(
        "contract_claims",
        *(sa.Column(name, KEY, nullable=False) for name in ("source", "external_id")),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payload_hash", sa.LargeBinary(), nullable=False),
        sa.Column("coin", KEY, nullable=False),
        sa.Column("contracts", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", name="pk_contract_claims"),
    )
    op.create_table(
        "contracts",
        *(
            sa.Column(name, KEY, nullable=False)
            for name in ("source", "external_id", "chain", "address")
        ),
        sa.PrimaryKeyConstraint("source", "external_id", "chain", "address", name="pk_contracts"),
    )
    op.create_index("ix_contracts_chain_address", "contracts", ["chain", "address"])
    op.create_table(
        "crosswalk",
        *(sa.Column(name, KEY, nullable=False) for name in ("source", "external_id", "asset")),
        sa.PrimaryKeyConstraint("source", "external_id", name="pk_crosswalk"),
    )
    op.create_index("ix_crosswalk_asset", "crosswalk", ["asset"])
    op.create_table(
        "corrections",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        *(
            sa.Column(name, KEY, nullable=False)
            for name in ("source", "external_id", "other_source", "other_external_id")
        ),
        sa.Column("same", sa.Boolean(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _now("decided_at"),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_corrections"),
    )
    op.create_index("ix_corrections_source_external_id", "corrections", ["source", "external_id"])
    op.create_index(
        "ix_corrections_other_source_other_external_id",
        "corrections",
        ["other_source", "other_external_id"],
    )
    op.create_table(
        "matches",
        sa.Column("listing_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("other_listing_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("score", sa.Numeric(4, 3), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("prices", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        _now("decided_at"),
        sa.CheckConstraint("verdict IN ('linked', 'review')", name="ck_matches_verdict_is_known"),
        sa.CheckConstraint(
            "prices IN ('agree', 'differ', 'unknown')", name="ck_matches_prices_are_known"
        ),
        sa.PrimaryKeyConstraint("listing_id", "other_listing_id", name="pk_matches"),
    )
    op.create_index("ix_matches_other_listing_id", "matches", ["other_listing_id"])
    op.create_table(
        "listing_names",
        sa.Column("listing_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("symbol_key", KEY, nullable=False),
        sa.Column("first_observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("listing_id", "symbol", "name", name="pk_listing_names"),
    )
    op.create_index("ix_listing_names_symbol_key", "listing_names", ["symbol_key"])
    for column in ("decided_by", "reason"):
        op.add_column("identity_events", sa.Column(column, sa.Text()))
    op.add_column("observations", _now("ingested_at"))
    for source in ("coinpaprika", "coingecko", "csv"):
        op.execute(DATE_OBSERVATIONS.format(raw=f"raw_{source}", source=source))
    op.execute(NAME_LISTINGS)
    for table in ("assets", "asset_history"):
        op.add_column(
            table, sa.Column("divergent", sa.Boolean(), nullable=False, server_default="false")
        )
        op.add_column(
            table, sa.Column("former_names", sa.Text(), nullable=False, server_default="")
        )
        _search(table, f"{LABELS} || chr(10) || lower(former_names)")
    for column in ("divergent", "former_names"):
        op.alter_column("asset_history", column, server_default=None)
    _record(COLUMNS)
    for table in (
        *("raw_coingecko_coins", "raw_coinpaprika_contracts", "contract_claims"),
        *("contracts",),
        *("crosswalk", "corrections", "matches", "listing_names"),
    ):
        op.execute(f"GRANT SELECT ON {table} TO kasparro_reader")


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _search(table: str, labels: str) -> None:
    op.drop_column(table, "search_text")
    op.add_column(table, sa.Column("search_text", KEY, sa.Computed(labels, persisted=True)))


def _record(columns: tuple[str, ...]) -> None:
    names = {"columns": ", ".join(columns), "r_columns": ", ".join(f"r.{n}" for n in columns)}
    op.execute(REMOVAL_RECORDER.format(**names))
    op.execute(HISTORY_RECORDER.format(**names))


def downgrade() -> None:
    _record(COLUMNS_BEFORE)
    for table in ("assets", "asset_history"):
        _search(table, LABELS)
        op.drop_column(table, "former_names")
        op.drop_column(table, "divergent")
    op.drop_column("observations", "ingested_at")
    for column in ("reason", "decided_by"):
        op.drop_column("identity_events", column)
    for table in (
        *("listing_names", "matches", "corrections", "crosswalk", "contracts"),
        *("contract_claims", "raw_coinpaprika_contracts", "raw_coingecko_coins"),
    ):
        op.drop_table(table)
