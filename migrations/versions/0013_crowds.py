"""Symbols that very many listings share, and what their listings hang together by.

Empty at first: the first batch that touches such a symbol fills them in.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "crowds",
        sa.Column("symbol_key", sa.Text(collation="C"), nullable=False),
        sa.Column("side", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("symbol_key", "side", name="pk_crowds"),
    )
    op.create_table(
        "crowd_keys",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("listing_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("key", "listing_id", name="pk_crowd_keys"),
    )


def downgrade() -> None:
    op.drop_table("crowd_keys")
    op.drop_table("crowds")
