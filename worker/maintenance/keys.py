"""Creates, lists and revokes API keys; the API only reads them."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shared.model.keys import hash_key
from shared.schema.operations import api_keys


def insert_key(
    conn: Connection, name: str, key: str, scopes: Collection[str], lifetime: timedelta | None
) -> bool:
    """Store the hash of a key under a name; return False if the name exists.

    A name is used once, and stays with its key after it was revoked.
    """
    values = {
        "name": name,
        "key_hash": hash_key(key),
        "scopes": list(scopes),
        "expires_at": func.now() + lifetime if lifetime is not None else None,
    }
    stmt = insert(api_keys).values(values).on_conflict_do_nothing(index_elements=["name"])
    return conn.execute(stmt).rowcount == 1


def revoke_key(conn: Connection, name: str) -> bool:
    """Revoke a key; return False if no active key has this name."""
    stmt = update(api_keys).where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
    return conn.execute(stmt.values(revoked_at=func.now())).rowcount == 1


def read_keys(conn: Connection) -> Sequence[Any]:
    """Return all keys sorted by name, with their state and without their hashes."""
    c = api_keys.c
    state = case(
        (c.revoked_at.is_not(None), "revoked"),
        (c.expires_at <= func.now(), "expired"),
        else_="valid",
    ).label("state")
    stmt = select(c.name, state, c.scopes, c.created_at, c.expires_at, c.revoked_at)
    return conn.execute(stmt.order_by(c.name)).all()
