"""The client of a request, read from its head without a look-up, for sharing the threads."""

import re

from api.middleware.keys import Keys
from api.middleware.limits import address, key_client
from api.server.heads import END, forwarded_for

_KEY = re.compile(
    rb"^(?:authorization:[ \t]*bearer[ \t]+|x-api-key:[ \t]*)(kasparro_[\w-]{43})[ \t]*\r?$",
    re.IGNORECASE | re.MULTILINE,
)


def client_of(head: bytes, remote: str, proxies: int, keys: Keys) -> str:
    """Return the name of a request's client: a key that this process validated, or its address.

    Other keys are ignored, including the key of a first request, which is validated later. So
    invented keys do not give a client more threads. Trusted proxies provide the address.
    """
    key = _KEY.search(head, 0, head.find(END) + 2) if b"kasparro_" in head else None
    found = keys.found_before(key[1].decode()) if key else None
    if found is not None:
        return key_client(found.id)
    return address((forwarded_for(head, proxies) if proxies else None) or remote)
