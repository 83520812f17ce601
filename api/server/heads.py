"""What a client has sent of a request so far: enough, too little, or too much."""

import re
from typing import Any

HEAD_BYTES = 1 << 15
BODY_BYTES = 4096
"""How large the head and the body of a request may be; nothing reads the latter."""

MORE, WHOLE, GONE = 100, 200, 499
"""What becomes of a request, beside the statuses that refuse it."""

END = b"\r\n\r\n"

PROBES = tuple(
    f"{method} /health/{name}{end}".encode()
    for method in ("GET", "HEAD")
    for name in ("live", "ready")
    for end in (" ", "?")
)
"""How the requests begin that a thread is reserved for."""

FORWARDED_FOR = re.compile(rb"^x-forwarded-for:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


def judge(received: bytearray) -> int:
    """Say whether a whole head is here; if not, whether it may yet become one."""
    end = received.find(END)
    if 0 <= end <= HEAD_BYTES:
        return WHOLE
    if len(received) > HEAD_BYTES:
        return 431 if b"\r\n" in received[:HEAD_BYTES] else 414
    return 400 if received.count(b"\n") != received.count(b"\r\n") else MORE


def body_length(req: Any) -> int:
    """Return how many bytes a request's body has; too many where it does not say beforehand."""
    for name, value in req.headers:
        if name == "TRANSFER-ENCODING":
            return BODY_BYTES + 1
        if name == "CONTENT-LENGTH":
            return int(value)
    return 0


def has_one_host(req: Any) -> bool:
    """Whether a request says once which host it is for; HTTP/1.0 knows no such header."""
    hosts: int = sum(name == "HOST" for name, _ in req.headers)
    return hosts == 1 or (hosts == 0 and req.version < (1, 1))


def forwarded_for(head: bytes, proxies: int) -> str | None:
    """Return the client's address as the first of so many trusted proxies says it."""
    values = b",".join(FORWARDED_FOR.findall(head[: head.find(END)])).split(b",")
    return values[-proxies].strip().decode("latin-1") if len(values) >= proxies else None
