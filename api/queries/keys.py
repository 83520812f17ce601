"""API keys, by their hash."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, select

from shared.schema.operations import api_keys


def find_key(conn: Connection, key_hash: bytes) -> RowMapping | None:
    """Return a key unless it was revoked; it may have expired."""
    c = api_keys.c
    stmt = select(c.id, c.name, c.scopes, c.expires_at)
    stmt = stmt.where(c.key_hash == key_hash, c.revoked_at.is_(None))
    return conn.execute(stmt).mappings().one_or_none()


def find_keys(conn: Connection) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return all keys that were not revoked, with their hashes; some may have expired."""
    c = api_keys.c
    stmt = select(c.key_hash, c.id, c.name, c.scopes, c.expires_at).where(c.revoked_at.is_(None))
    return conn.execute(stmt).all()
