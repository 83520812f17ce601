"""Whose turn a request takes in the threads, told by its head before anything is looked up."""

import re

from api.middleware.keys import Keys
from api.middleware.limits import address, key_client
from api.server.heads import END, forwarded_for

_KEY = re.compile(
    rb"^(?:authorization:[ \t]*bearer[ \t]+|x-api-key:[ \t]*)(kasparro_[\w-]{43})[ \t]*\r?$",
    re.IGNORECASE | re.MULTILINE,
)


def client_of(head: bytes, remote: str, proxies: int, keys: Keys) -> str:
    """Name the client of a request: its key, where this process found that valid, else its address.

    A key that was never found counts as none, so that made-up keys give nobody more turns; so does
    that of a first request, which is looked up in its turn. The address is what the proxies say.
    """
    key = _KEY.search(head, 0, head.find(END) + 2) if b"kasparro_" in head else None
    found = keys.found_before(key[1].decode()) if key else None
    if found is not None:
        return key_client(found.id)
    return address((forwarded_for(head, proxies) if proxies else None) or remote)
