"""JSON as Postgres spells a `jsonb`, written from decoded documents."""

import json
from decimal import Decimal
from typing import Any


class Number(str):
    """A number in JSON, as the text that it is."""

    __slots__ = ()


def write(node: Any, comma: str, colon: str) -> str:
    """Write JSON, members in the order in which they stand."""
    if isinstance(node, dict):
        members = (
            f"{json.dumps(key)}{colon}{write(value, comma, colon)}" for key, value in node.items()
        )
        return "{" + comma.join(members) + "}"
    return str(node) if isinstance(node, Number) else json.dumps(node, ensure_ascii=False)


def jsonb(node: Any) -> str:
    """Write JSON as Postgres writes JSONB: shorter names first, and then by their bytes."""
    if isinstance(node, dict):
        names = sorted(node, key=lambda name: (len(name.encode()), name.encode()))
        return "{" + ", ".join(f"{json.dumps(name)}: {jsonb(node[name])}" for name in names) + "}"
    if isinstance(node, Number):
        return "null" if node == "null" else f"{Decimal(node):f}"
    return json.dumps(node, ensure_ascii=False)
