"""How Alembic reaches the database: over the connection that `worker.maintenance` hands it."""

from alembic import context
from sqlalchemy import text

from shared.schema.base import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run `worker migrate`: it opens the connection that migrations run on")

# Partitions come and go as the data does; what they are like, the tables that they are of say.
partitions = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition")))
# Alembic leaves a transaction that is open to its caller: each migration is to commit its own, and
# not to hold the locks of those before it.
connection.commit()
context.configure(
    connection=connection,
    target_metadata=metadata,
    compare_server_default=True,
    transaction_per_migration=True,
    include_name=lambda name, kind, _: kind != "table" or name not in partitions,
)
with context.begin_transaction():
    context.run_migrations()
