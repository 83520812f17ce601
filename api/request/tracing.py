"""W3C Trace Context: which trace a request belongs to, and where in it we are.

https://www.w3.org/TR/trace-context/
"""

import random
import re
from dataclasses import dataclass

TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<parent>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)
"""What later versions add after the flags is not for us; version 00 has nothing there."""

KEY = r"(?:[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})"
MEMBER = re.compile(rf"({KEY})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
MOST_MEMBERS = 32

SAMPLED = 1
"""The one flag that has a meaning: the caller may have recorded this trace."""


@dataclass(slots=True)
class Trace:
    """A request's place in its trace. Without a caller's there is no parent, and no state."""

    trace_id: str
    span_id: str
    flags: int = 0
    parent_id: str | None = None
    state: str | None = None

    @property
    def traceparent(self) -> str:
        """Say it to whoever comes next: the same trace, with our span for its parent."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def take_up(traceparent: str | None, tracestate: str | None) -> Trace:
    """Go on with the caller's trace where its header is valid; else begin a new one."""
    found = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None or (found["version"] == "00" and found["more"]):
        return Trace(_random_id(128), _random_id(64))
    state = tracestate if tracestate and is_valid_state(tracestate) else None
    flags = int(found["flags"], 16) & SAMPLED
    return Trace(found["trace"], _random_id(64), flags, found["parent"], state)


def is_valid_state(tracestate: str) -> bool:
    """Tell whether this is a list of distinct vendors' members, which is passed on as it is."""
    members = [member.strip(" \t") for member in tracestate.split(",")]
    found = [MEMBER.fullmatch(member) for member in members if member]
    keys = {match[1] for match in found if match}
    return len(keys) == len(found) and 0 < len(found) <= MOST_MEMBERS


def _random_id(bits: int) -> str:
    """Make an id that is not 0, in hexadecimal digits; it need not be unguessable."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"
