"""What is left of each source's request budgets, and the shapes that its records have."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "request_budgets",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("requests", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_request_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("source", name="pk_request_budgets"),
    )
    op.create_table(
        "shapes",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("last_run_records", sa.BigInteger(), nullable=False),
        sa.Column("first_run_id", sa.Integer(), nullable=False),
        sa.Column("last_run_id", sa.Integer(), nullable=False),
        sa.Column("records_since", sa.BigInteger(), nullable=False),
        sa.Column("records_before", sa.BigInteger(), nullable=False),
        sa.Column("records_until", sa.BigInteger(), nullable=False),
        sa.Column("example", JSONB(), nullable=False),
        sa.Column(
            "first_seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.now(),
            nullable=False,
        ),
        sa.Column(
            "last_seen_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("source", "command", "path", "type", name="pk_shapes"),
    )
    op.add_column("drift", sa.Column("share", sa.Numeric(), nullable=False, server_default="0"))
    op.add_column("drift", sa.Column("example", JSONB(), nullable=False, server_default="{}"))
    op.add_column(
        "runs", sa.Column("records_known", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column("checkpoints", sa.Column("cleared_at", sa.DateTime(timezone=True)))
    op.create_index(
        "ix_runs_succeeded",
        "runs",
        ["source", "id"],
        postgresql_where=sa.text("command = 'run' AND outcome = 'succeeded'"),
    )
    for table in ("request_budgets", "shapes"):
        op.execute(f"GRANT SELECT ON {table} TO kasparro_reader")


def downgrade() -> None:
    op.drop_index("ix_runs_succeeded", table_name="runs")
    op.drop_column("checkpoints", "cleared_at")
    op.drop_column("runs", "records_known")
    op.drop_column("drift", "example")
    op.drop_column("drift", "share")
    op.drop_table("shapes")
    op.drop_table("request_budgets")
