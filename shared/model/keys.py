"""API keys: what one looks like, what is stored of it, and what it may open."""

import hashlib
import re
import secrets

SCOPES = {
    "data": "`/data`, one asset with its raw records and history, `/trends` and `/changes`",
    "export": "`/data/export`",
    "operations": "`/health`, `/stats`, `/runs`, `/rejects`, `/drift`, `/reviews` and `/metrics`",
}
"""What a key may be good for, and the routes that are meant."""

KEY = re.compile("kasparro_[A-Za-z0-9_-]{43}", re.ASCII)


def make_key() -> str:
    """Make a key of 256 random bits; its beginning lets scanners of leaked secrets find it."""
    return f"kasparro_{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> bytes:
    """Return what is stored of a key, and what it is looked up by.

    SHA-256 once, without a salt: a slow hash protects passwords, which can be guessed. To guess 256
    random bits is hopeless at any speed, and this runs at every request.
    """
    return hashlib.sha256(key.encode()).digest()
