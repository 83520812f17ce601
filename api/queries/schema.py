"""The revision of the database schema."""

from sqlalchemy import Connection, Text, column, select, table

alembic_version = table("alembic_version", column("version_num", Text))


def read_schema_revision(conn: Connection) -> str | None:
    """Return the revision of the last migration; None if the database was never migrated."""
    return conn.scalar(select(alembic_version.c.version_num))
