"""The keys of the API's clients: made, listed, revoked. The API looks them up by itself."""

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
    """Store a key's hash under a name, and return whether the name was free.

    A name is given once, and stays with its key when that is revoked.
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
    """Revoke a key, and return whether there was one of that name that was not revoked yet."""
    stmt = update(api_keys).where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
    return conn.execute(stmt.values(revoked_at=func.now())).rowcount == 1


def read_keys(conn: Connection) -> Sequence[Any]:
    """Return every key by name, without its hash, with what it is good for at present."""
    c = api_keys.c
    state = case(
        (c.revoked_at.is_not(None), "revoked"),
        (c.expires_at <= func.now(), "expired"),
        else_="valid",
    ).label("state")
    stmt = select(c.name, state, c.scopes, c.created_at, c.expires_at, c.revoked_at)
    return conn.execute(stmt.order_by(c.name)).all()
