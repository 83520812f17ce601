"""The client of a request, read from its head without a look-up, for sharing the threads."""

import re

from api.middleware.keys import Keys, key_in_cookie
from api.middleware.limits import address, key_client
from api.server.request_head import END, forwarded_for

_KEY = re.compile(
    rb"^(?:authorization:[ \t]*bearer[ \t]+|x-api-key:[ \t]*)(kasparro_[\w-]{43})[ \t]*\r?$",
    re.IGNORECASE | re.MULTILINE,
)

_COOKIES = re.compile(rb"^cookie:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


def client_of(head: bytes, remote: str, proxies: int, keys: Keys) -> str:
    """Return the name of a request's client: a key that this process validated, or its address.

    Other keys are ignored, including the key of a first request, which is validated later. So
    invented keys do not give a client more threads. Trusted proxies provide the address.
    """
    key = _sent_key(head) if b"kasparro_" in head else None
    found = keys.found_before(key) if key else None
    if found is not None:
        return key_client(found.id)
    return address((forwarded_for(head, proxies) if proxies else None) or remote)


def _sent_key(head: bytes) -> str | None:
    """Return the key in a header of its own, otherwise in a browser's cookie."""
    end = head.find(END) + 2
    if key := _KEY.search(head, 0, end):
        return key[1].decode()
    cookies = _COOKIES.search(head, 0, end)
    return key_in_cookie(cookies[1].decode("latin-1")) if cookies else None
