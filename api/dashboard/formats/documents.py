"""Documents of sources as people read them."""

from collections.abc import Mapping
from typing import Any

import msgspec

SHOWN = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"},
    0x7F: 0x2421,
}
"""Control characters, which a page cannot hold, and the pictures of them that it shows."""


MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def pretty(document: bytes | msgspec.Raw) -> str:
    """Write JSON with line breaks, every digit as it is; another text stays as it is."""
    given = bytes(document)
    try:
        text = msgspec.json.format(given, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = given.decode(errors="replace")
    return text.translate(SHOWN)


def members(document: bytes | msgspec.Raw) -> Mapping[str, str]:
    """Read an object as texts by name: a text as it is, anything else as its JSON."""
    return {name: _text(value) for name, value in MEMBERS.decode(document).items()}


def _text(value: msgspec.Raw) -> str:
    written = bytes(value)
    text = str(msgspec.json.decode(written)) if written.startswith(b'"') else written.decode()
    return text.translate(SHOWN)


def unpacked(document: msgspec.Raw) -> Any:
    """Read a document of the database: a list of texts."""
    return msgspec.json.decode(document)
