"""How Alembic reaches the database: over the connection that `worker.migrate` hands it."""

from alembic import context

from shared.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run `worker migrate`: it opens the connection that migrations run on")

context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
with context.begin_transaction():
    context.run_migrations()
