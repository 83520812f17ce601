"""Compression (gzip, RFC 1952) of answers whose first part is the same for many requests."""

import struct
import zlib
from functools import lru_cache

from flask import request
from werkzeug.http import parse_accept_header

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Without a time and a name, so that equal content gives equal bytes."""


def is_wanted() -> bool:
    """Whether this request's client takes gzip."""
    return takes_gzip(request.environ.get("HTTP_ACCEPT_ENCODING"))


@lru_cache(100)
def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether a client that sends this header takes gzip."""
    if accept_encoding is None:
        return False
    return bool(parse_accept_header(accept_encoding)["gzip"] > 0)


class Zipped:
    """The first part of a body, compressed once; each request adds an end of its own.

    A full flush leaves nothing that later blocks could refer to, so that they can be made by
    themselves (https://www.zlib.net/manual.html, `Z_FULL_FLUSH`).
    """

    def __init__(self, begin: bytes) -> None:
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._begin = HEADER + packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH)
        self._crc = zlib.crc32(begin)
        self._length = len(begin)

    def finish(self, end: bytes) -> bytes:
        """Return the whole body."""
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        last = packer.compress(end) + packer.flush()
        check = struct.pack(
            "<II", zlib.crc32(end, self._crc), (self._length + len(end)) & 0xFFFFFFFF
        )
        return self._begin + last + check
