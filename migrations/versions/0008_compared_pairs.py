"""The pairs of listings that identity compared, and what their prices said over time.

Empty at first: `worker migrate` compares every pair from its observations afterwards.
"""

import sqlalchemy as sa
from alembic import op

from migrations.locking import lock_exclusively

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PRICES = "ck_matches_prices_are_known"
PRICES_BEFORE = "ck_matches_ck_matches_prices_are_known"
"""Revision 0004 prefixed the name twice."""


def upgrade() -> None:
    lock_exclusively("matches", "runs")
    op.create_table(
        "compared_pairs",
        sa.Column("listing_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("other_listing_id", sa.Integer(), autoincrement=False, nullable=False),
        *(
            sa.Column(name, sa.DateTime(timezone=True))
            for name in ("compared_at", "agreed_at", "differs_since", "lasting_since")
        ),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "listing_id < other_listing_id", name=op.f("ck_compared_pairs_pair_is_ordered")
        ),
        sa.CheckConstraint(
            "verdict IN ('agree', 'unknown', 'disputed', 'broken', 'differ')",
            name=op.f("ck_compared_pairs_verdict_is_known"),
        ),
        sa.PrimaryKeyConstraint("listing_id", "other_listing_id", name="pk_compared_pairs"),
    )
    op.create_index("ix_compared_pairs_other_listing_id", "compared_pairs", ["other_listing_id"])
    op.create_index(
        "ix_compared_pairs_broken",
        "compared_pairs",
        ["verdict"],
        postgresql_where=sa.text("verdict = 'broken'"),
    )
    key = sa.Text(collation="C")
    op.create_table(
        "pending_ids",
        *(sa.Column(name, key, nullable=False) for name in ("source", "external_id")),
        sa.PrimaryKeyConstraint("source", "external_id", name=op.f("pk_pending_ids")),
    )
    op.add_column(
        "runs", sa.Column("ids_replaced", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.drop_constraint(op.f(PRICES_BEFORE), "matches", type_="check")
    op.create_check_constraint(
        op.f(PRICES), "matches", "prices IN ('agree', 'differ', 'unknown', 'disputed')"
    )


def downgrade() -> None:
    lock_exclusively("matches", "runs", "pending_ids", "compared_pairs")
    # Revision 0005 has no word for a contradiction that does not last yet; it looks at the newest.
    op.execute("UPDATE matches SET prices = 'differ' WHERE prices = 'disputed'")
    op.drop_constraint(op.f(PRICES), "matches", type_="check")
    op.create_check_constraint(
        op.f(PRICES_BEFORE), "matches", "prices IN ('agree', 'differ', 'unknown')"
    )
    op.drop_column("runs", "ids_replaced")
    op.drop_table("pending_ids")
    op.drop_table("compared_pairs")
