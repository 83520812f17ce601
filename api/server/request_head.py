"""Checks a request while it arrives: complete, incomplete or too large."""

import re
from typing import Any

HEAD_BYTES = 1 << 15
BODY_BYTES = 4096
"""Limits for the head and the body of a request. Only the sign-in of the dashboard reads a body."""

MORE, WHOLE, GONE = 100, 200, 499
"""Verdicts on a request, in addition to the statuses that refuse it."""

END = b"\r\n\r\n"

CONTENT_LENGTH = re.compile(
    rb"^content-length:[ \t]*0*(\d{1,4})[ \t]*\r\n", re.IGNORECASE | re.MULTILINE
)

PROBES = tuple(
    f"{method} /health/{name}{end}".encode()
    for method in ("GET", "HEAD")
    for name in ("live", "ready")
    for end in (" ", "?")
)
"""The beginnings of the requests for which a thread is reserved."""

FORWARDED_FOR = re.compile(rb"^x-forwarded-for:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


def judge(received: bytearray) -> int:
    """Return whether the request is complete, can still become complete, or has to be refused.

    A body that is too long is not waited for: `body_length` refuses it.
    """
    end = received.find(END)
    if 0 <= end <= HEAD_BYTES:
        declared = CONTENT_LENGTH.search(received, 0, end + 2)
        length = int(declared[1]) if declared else 0
        arrived = len(received) - end - len(END)
        return MORE if arrived < length <= BODY_BYTES else WHOLE
    if len(received) > HEAD_BYTES:
        return 431 if b"\r\n" in received[:HEAD_BYTES] else 414
    return 400 if received.count(b"\n") != received.count(b"\r\n") else MORE


def body_length(req: Any) -> int:
    """Return the length of a request's body; more than the limit if it is not declared."""
    for name, value in req.headers:
        if name == "TRANSFER-ENCODING":
            return BODY_BYTES + 1
        if name == "CONTENT-LENGTH":
            return int(value)
    return 0


def has_one_host(req: Any) -> bool:
    """Whether a request has exactly one `Host` header, which HTTP/1.0 does not require."""
    hosts: int = sum(name == "HOST" for name, _ in req.headers)
    return hosts == 1 or (hosts == 0 and req.version < (1, 1))


def forwarded_for(head: bytes, proxies: int) -> str | None:
    """Return the client's address as the outermost trusted proxy reports it."""
    values = b",".join(FORWARDED_FOR.findall(head[: head.find(END)])).split(b",")
    return values[-proxies].strip().decode("latin-1") if len(values) >= proxies else None
