"""Raw records and observations by time: months of now, years of before, and what was pruned."""

from collections.abc import Iterator
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEYS = {
    "raw_coinpaprika": "observed_at, external_id, payload_hash",
    "raw_coingecko": "observed_at, external_id, payload_hash",
    "raw_csv": "observed_at, external_id, payload_hash",
    "observations": "listing_id, observed_at, payload_hash",
}

# As worker/database/periods.py has them.
YEARS_FROM, MONTHS_FROM, UNTIL = 2013, 2026, 2100

MONTHS = """
SELECT DISTINCT extract(year FROM at)::integer AS year, extract(month FROM at)::integer AS month
FROM (SELECT observed_at AT TIME ZONE 'UTC' AS at FROM {table}) AS each
"""

RUNS_INDEX = (
    "CREATE INDEX ix_observations_run_id_new ON observations_new USING brin (run_id) "
    "WITH (autosummarize = on)"
)


def upgrade() -> None:
    # Every row is written anew, which takes as long as there are rows; a kill rolls it back.
    op.execute("SET LOCAL statement_timeout = 0")
    op.create_table(
        "pruned_partitions",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.DateTime(timezone=True), nullable=False)
            for name in ("observed_from", "observed_until")
        ),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("archive", sa.Text()),
        sa.Column("digest", sa.LargeBinary()),
        sa.Column(
            "pruned_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="pk_pruned_partitions"),
    )
    op.create_table(
        "pruned_runs",
        sa.Column("pruned_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pruned_id"],
            ["pruned_partitions.id"],
            name="fk_pruned_runs_pruned_id_pruned_partitions",
        ),
        sa.PrimaryKeyConstraint("pruned_id", "run_id", name="pk_pruned_runs"),
    )
    for table in ("pruned_partitions", "pruned_runs"):
        op.execute(f"GRANT SELECT ON {table} TO kasparro_reader")
    # Answers that show raw records are kept by readers.
    op.execute(
        "CREATE TRIGGER notify_readers AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE "
        "ON pruned_partitions FOR EACH STATEMENT EXECUTE FUNCTION notify_readers()"
    )
    # Copied under a lock that lets readers in; they wait for the exchange alone.
    op.execute(f"LOCK TABLE {', '.join(KEYS)} IN SHARE MODE")
    for table, key in KEYS.items():
        op.execute(
            f"CREATE TABLE {table}_new (LIKE {table} INCLUDING ALL EXCLUDING INDEXES) "
            "PARTITION BY RANGE (observed_at)"
        )
        for suffix, start, end in sorted(_partitions(table)):
            op.execute(
                f"CREATE TABLE {table}_{suffix} PARTITION OF {table}_new "
                f"FOR VALUES FROM ({start}) TO ({end})"
            )
        _copy(table, key)
    _exchange()


def downgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(f"LOCK TABLE {', '.join(KEYS)} IN SHARE MODE")
    for table, key in KEYS.items():
        op.execute(f"CREATE TABLE {table}_new (LIKE {table} INCLUDING ALL EXCLUDING INDEXES)")
        _copy(table, key)
    _exchange()
    op.drop_table("pruned_runs")
    op.drop_table("pruned_partitions")


def _copy(table: str, key: str) -> None:
    """Copy a table's rows to the new one, and build its indexes."""
    columns = ", ".join(column["name"] for column in sa.inspect(op.get_bind()).get_columns(table))
    op.execute(f"INSERT INTO {table}_new ({columns}) SELECT {columns} FROM {table}")
    op.execute(f"ALTER TABLE {table}_new ADD CONSTRAINT pk_{table}_new PRIMARY KEY ({key})")
    if table == "observations":
        op.execute(RUNS_INDEX)


def _exchange() -> None:
    for table in KEYS:
        op.drop_table(table)
        op.rename_table(f"{table}_new", table)
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT pk_{table}_new TO pk_{table}")
        op.execute(f"GRANT SELECT ON {table} TO kasparro_reader")
    op.execute("ALTER INDEX ix_observations_run_id_new RENAME TO ix_observations_run_id")


def _partitions(table: str) -> set[tuple[str, str, str]]:
    """What its rows need; and this month and the next, for a worker that makes none itself."""
    found = {
        (row.year, row.month) for row in op.get_bind().execute(sa.text(MONTHS.format(table=table)))
    }
    now = datetime.now(UTC)
    return {_partition(year, month) for year, month in found | set(_present(now))}


def _present(now: datetime) -> Iterator[tuple[int, int]]:
    yield now.year, now.month
    yield now.year + now.month // 12, now.month % 12 + 1


def _partition(year: int, month: int) -> tuple[str, str, str]:
    if year < YEARS_FROM:
        return f"before_{YEARS_FROM}", "MINVALUE", f"'{YEARS_FROM}-01-01 00:00Z'"
    if year >= UNTIL:
        return f"from_{UNTIL}", f"'{UNTIL}-01-01 00:00Z'", "MAXVALUE"
    if year < MONTHS_FROM:
        return f"{year}", f"'{year}-01-01 00:00Z'", f"'{year + 1}-01-01 00:00Z'"
    years, last = divmod(month, 12)
    start, end = f"'{year}-{month:02}-01 00:00Z'", f"'{year + years}-{last + 1:02}-01 00:00Z'"
    return f"{year}_{month:02}", start, end
