"""The question which schema the database has."""

from sqlalchemy import Connection, Text, column, select, table

alembic_version = table("alembic_version", column("version_num", Text))


def read_schema_revision(conn: Connection) -> str | None:
    """Return the migration that the schema is at; None when it was never migrated."""
    return conn.scalar(select(alembic_version.c.version_num))
