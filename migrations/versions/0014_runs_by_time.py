"""Indexes of runs by the time at which they started, and of those that did not succeed.

A query for a source's newest run, in the order of their ids, may be planned as a walk through all
runs of all sources. In the order of their times it has no other way than these indexes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_runs_source_started_at", "runs", ["source", "started_at"])
    op.create_index(
        "ix_runs_succeeded_started_at",
        "runs",
        ["source", "started_at"],
        postgresql_where=sa.text("outcome = 'succeeded'"),
    )
    op.create_index(
        "ix_runs_unsuccessful",
        "runs",
        ["source", "id"],
        postgresql_where=sa.text("command = 'run' AND outcome IN ('partial', 'failed')"),
    )


def downgrade() -> None:
    op.drop_index("ix_runs_unsuccessful", "runs")
    op.drop_index("ix_runs_succeeded_started_at", "runs")
    op.drop_index("ix_runs_source_started_at", "runs")
