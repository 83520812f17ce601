"""Which file a reject comes from, and shapes counted for each family of files."""

import sqlalchemy as sa
from alembic import op

from migrations.locking import lock_exclusively

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock_exclusively("rejects", "shapes")
    op.add_column("rejects", sa.Column("file", sa.Text()))
    op.add_column("rejects", sa.Column("declaration", sa.Text()))
    op.add_column("shapes", sa.Column("family", sa.Text(), server_default="", nullable=False))
    op.drop_constraint("pk_shapes", "shapes", type_="primary")
    op.create_primary_key("pk_shapes", "shapes", ["source", "command", "family", "path", "type"])


def downgrade() -> None:
    lock_exclusively("rejects", "shapes")
    # The shapes of families of files are of no use to the older program, which takes them for one.
    op.execute("DELETE FROM shapes WHERE family <> ''")
    op.drop_constraint("pk_shapes", "shapes", type_="primary")
    op.create_primary_key("pk_shapes", "shapes", ["source", "command", "path", "type"])
    op.drop_column("shapes", "family")
    op.drop_column("rejects", "declaration")
    op.drop_column("rejects", "file")
