"""An index of the listings of symbols that very many listings share.

The first batch that touches such a symbol fills it. Identity compares fewer pairs from this
revision on, so `compared_pairs` is emptied in both directions: `worker migrate`, or the first batch
of the previous release, compares all pairs again from the observations. Until then the row with an
empty symbol says that this is due.
"""

import sqlalchemy as sa
from alembic import op

from migrations.locking import lock_exclusively

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _delete_pairs()
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
    op.execute("INSERT INTO crowds (symbol_key, side) SELECT '', '' FROM listings LIMIT 1")


def downgrade() -> None:
    op.drop_table("crowd_keys")
    op.drop_table("crowds")
    _delete_pairs()


def _delete_pairs() -> None:
    lock_exclusively("compared_pairs")
    op.execute("DELETE FROM compared_pairs")
