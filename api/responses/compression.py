"""Compression (gzip, RFC 1952) of responses that share a prefix and differ in the end."""

import struct
import zlib
from functools import lru_cache

from flask import request
from werkzeug.http import parse_accept_header

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Without a time and a name, so that equal content compresses to equal bytes."""


def client_accepts_gzip() -> bool:
    return accepts_gzip(request.environ.get("HTTP_ACCEPT_ENCODING"))


@lru_cache(100)
def accepts_gzip(accept_encoding: str | None) -> bool:
    if accept_encoding is None:
        return False
    return bool(parse_accept_header(accept_encoding)["gzip"] > 0)


class CompressedPrefix:
    """The first part of a body, compressed once. Each request appends its own suffix.

    After a full flush, later blocks cannot refer to earlier data, so the suffix is compressed
    separately (https://www.zlib.net/manual.html, `Z_FULL_FLUSH`).
    """

    def __init__(self, prefix: bytes) -> None:
        compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._prefix = HEADER + compressor.compress(prefix) + compressor.flush(zlib.Z_FULL_FLUSH)
        self._crc = zlib.crc32(prefix)
        self._length = len(prefix)

    def with_suffix(self, suffix: bytes) -> bytes:
        """Return the complete compressed body."""
        compressor = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        compressed = compressor.compress(suffix) + compressor.flush()
        trailer = struct.pack(
            "<II", zlib.crc32(suffix, self._crc), (self._length + len(suffix)) & 0xFFFFFFFF
        )
        return self._prefix + compressed + trailer
