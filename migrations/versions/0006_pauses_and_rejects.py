"""Pauses that providers ask for, refused records that are dismissed, dropped or pruned."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.locking import lock_exclusively

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHANGED = ("request_budgets", "rejects", "runs")

# What 0.1.0 believed was up to 400 days; a pause of now is believed for 6 hours.
CARRY_PAUSES_OVER = """
UPDATE request_budgets
SET paused_at = now(), pause_reason = 'rate_limited',
    paused_until = least(next_request_at, now() + interval '6 hours'),
    next_request_at = least(next_request_at, now() + interval '6 hours')
WHERE next_request_at > now() + interval '1 minute'
"""


def upgrade() -> None:
    lock_exclusively(*CHANGED)
    op.add_column("request_budgets", sa.Column("paused_at", sa.DateTime(timezone=True)))
    op.add_column("request_budgets", sa.Column("paused_until", sa.DateTime(timezone=True)))
    op.add_column("request_budgets", sa.Column("pause_reason", sa.Text()))
    op.add_column("request_budgets", sa.Column("pause_said", sa.Text()))
    op.execute(CARRY_PAUSES_OVER)
    op.add_column("rejects", sa.Column("dismissed_by", sa.Text()))
    op.add_column("rejects", sa.Column("dismissed_reason", sa.Text()))
    op.add_column(
        "runs",
        sa.Column("rejects_dropped", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.add_column(
        "runs", sa.Column("rejects_dropped_reasons", JSONB(), server_default="{}", nullable=False)
    )
    op.create_table(
        "pruned_rejects",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("seen_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rejects", sa.BigInteger(), nullable=False),
        sa.Column("times_seen", sa.BigInteger(), nullable=False),
        sa.Column("archive", sa.Text()),
        sa.Column("digest", sa.LargeBinary()),
        sa.Column(
            "pruned_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="pk_pruned_rejects"),
    )
    op.execute("GRANT SELECT ON pruned_rejects TO kasparro_reader")


def downgrade() -> None:
    lock_exclusively(*CHANGED, "pruned_rejects")
    op.drop_table("pruned_rejects")
    for name in ("rejects_dropped_reasons", "rejects_dropped"):
        op.drop_column("runs", name)
    for name in ("dismissed_reason", "dismissed_by"):
        op.drop_column("rejects", name)
    for name in ("pause_said", "pause_reason", "paused_until", "paused_at"):
        op.drop_column("request_budgets", name)
