"""What a client has sent of a request so far: enough, too little, or too much."""

from typing import Any

HEAD_BYTES = 1 << 15
BODY_BYTES = 4096
"""How large the head and the body of a request may be; nothing reads the latter."""

MORE, WHOLE, GONE = 100, 200, 499
"""What becomes of a request, beside the statuses that refuse it."""

END = b"\r\n\r\n"


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
