"""By what each listing's newest record is recognised when it comes again.

Nobody knows in which bytes those that are stored were received: they are read once more.
"""

import sqlalchemy as sa
from alembic import op

from migrations.locking import lock_exclusively

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_exclusively("listings")
    op.add_column("listings", sa.Column("received_digest", sa.LargeBinary()))


def downgrade() -> None:
    lock_exclusively("listings")
    op.drop_column("listings", "received_digest")
