"""Why something was refused, in sentences that can be shown and stored."""

from collections.abc import Iterator, Mapping
from typing import Any


def flatten(messages: Any, path: str = "") -> Iterator[str]:
    """Turn marshmallow's nested messages into sentences: `quotes.USD: Missing data …`."""
    if isinstance(messages, Mapping):
        for key, nested in messages.items():
            step = "" if key == "_schema" else str(key)
            yield from flatten(nested, f"{path}.{step}".strip(".") if step else path)
    else:
        for message in messages:
            text = printable(str(message).rstrip("."))
            yield f"{path}: {text}" if path else text


def printable(text: str) -> str:
    """Write out what Postgres cannot hold in a text: lone surrogates and U+0000."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")
