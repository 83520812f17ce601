"""Texts of sources as people read them: JSON with line breaks, bytes as text."""

import msgspec

NOT_TEXT = "These bytes are not UTF-8; each that is none is shown as \N{REPLACEMENT CHARACTER}."


def pretty(document: bytes | msgspec.Raw) -> str:
    """Write JSON with line breaks, every digit as it is; another text stays as it is."""
    given = bytes(document)
    try:
        return msgspec.json.format(given, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return given.decode(errors="replace")
