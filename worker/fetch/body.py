"""Reading of response bodies within a size limit."""

import requests
import urllib3

CHUNK = 64 * 1024
ERROR_BYTES = 64 * 1024
"""The part of an error response that is read; enough for the provider's message."""


def read_body(response: requests.Response, limit: int) -> bytes:
    """Read up to `limit` decompressed bytes."""
    body = bytearray()
    while len(body) < limit:
        chunk = response.raw.read1(min(CHUNK, limit - len(body)), decode_content=True)
        if not chunk:
            break
        body += chunk
    return bytes(body)


def read_error(response: requests.Response) -> bytes:
    """Read the body of an error response; empty if that fails, because the status is enough."""
    try:
        return read_body(response, ERROR_BYTES)
    except urllib3.exceptions.HTTPError:
        return b""
