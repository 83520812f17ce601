"""Which keys a route takes, and which it may refuse."""

from typing import Any

from apispec import APISpec

from api.middleware.keys import scope_of
from api.middleware.limits import PROBES

SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer KEY`; `worker api-keys create` makes keys",
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
    """Return the ways to be let in: with a key of the route's scope; without one where none is due.

    The list is empty for a route that looks at no key.
    """
    scope = scope_of(rule)
    if scope is None:
        return []
    return [*([] if required else [{}]), *({name: [scope]} for name in SCHEMES)]


def refusals_of(rule: str) -> set[int]:
    """Return the statuses of those who may not ask, or ask too often."""
    return ({401, 403} if scope_of(rule) else set()) | (set() if rule in PROBES else {429})
