"""API keys, by their hash."""

from sqlalchemy import Connection, RowMapping, select

from shared.tables import api_keys


def find_key(conn: Connection, key_hash: bytes) -> RowMapping | None:
    """Return a key that was not revoked, expired or not."""
    c = api_keys.c
    stmt = select(c.id, c.name, c.scopes, c.expires_at)
    stmt = stmt.where(c.key_hash == key_hash, c.revoked_at.is_(None))
    return conn.execute(stmt).mappings().one_or_none()
