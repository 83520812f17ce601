"""The body of an answer, read within its limits."""

import requests
import urllib3

CHUNK = 64 * 1024
ERROR_BYTES = 64 * 1024
"""An error is read this far: enough for what the provider has to say."""


def read_body(answer: requests.Response, limit: int) -> bytes:
    """Read up to `limit` unpacked bytes, a packet at a time."""
    body = bytearray()
    while len(body) < limit:
        chunk = answer.raw.read1(min(CHUNK, limit - len(body)), decode_content=True)
        if not chunk:
            break
        body += chunk
    return bytes(body)


def read_error(answer: requests.Response) -> bytes:
    """Read what an error says, where that can be read: its status tells what to do."""
    try:
        return read_body(answer, ERROR_BYTES)
    except urllib3.exceptions.HTTPError:
        return b""
