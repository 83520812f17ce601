"""Indexes of runs by the time at which they started, and of those that did not succeed.

`/runs/days` reads the runs of some days and the last success before them; the health of a source
needs its last run that did not succeed. Neither may read all runs there ever were.
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
