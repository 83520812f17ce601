"""The API keys that a route accepts, and the statuses with which requests are refused."""

from typing import Any

from apispec import APISpec

from api.middleware.keys import scope_of
from api.middleware.limits import PROBES

SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer KEY`; create keys with `worker api-keys create`",
    },
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same keys, for clients that cannot send `Authorization`",
    },
}


def add_schemes(spec: APISpec) -> None:
    for name, scheme in SCHEMES.items():
        spec.components.security_scheme(name, scheme)


def security_of(rule: str, *, required: bool) -> list[dict[str, Any]]:
    """Return the security requirements of a route: a key of its scope, or none if not required.

    The list is empty for a route that ignores keys.
    """
    scope = scope_of(rule)
    if scope is None:
        return []
    return [*([] if required else [{}]), *({name: [scope]} for name in SCHEMES)]


def refusals_of(rule: str) -> set[int]:
    """Return the statuses for a missing or insufficient key and for too many requests."""
    return ({401, 403} if scope_of(rule) else set()) | (set() if rule in PROBES else {429})
