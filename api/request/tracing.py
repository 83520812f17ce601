"""W3C Trace Context: the trace and span of a request.

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
"""Later versions may add fields after the flags, which are ignored. Version 00 has none."""

KEY = r"(?:[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})"
MEMBER = re.compile(rf"({KEY})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
MAX_MEMBERS = 32

SAMPLED = 1
"""The only defined flag: the caller may have recorded this trace."""


@dataclass(slots=True)
class Trace:
    """The trace of a request and its own span. A new trace has no parent and no state."""

    trace_id: str
    span_id: str
    flags: int = 0
    parent_id: str | None = None
    state: str | None = None

    @property
    def traceparent(self) -> str:
        """Write the header: the same trace, with this span as the parent."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def continue_trace(traceparent: str | None, tracestate: str | None) -> Trace:
    """Continue the caller's trace if its header is valid; otherwise start a new one."""
    found = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None or (found["version"] == "00" and found["more"]):
        return Trace(_random_id(128), _random_id(64))
    state = tracestate if tracestate and is_valid_state(tracestate) else None
    flags = int(found["flags"], 16) & SAMPLED
    return Trace(found["trace"], _random_id(64), flags, found["parent"], state)


def is_valid_state(tracestate: str) -> bool:
    """Whether this is a list of members with distinct keys. It is passed on unchanged."""
    members = [member.strip(" \t") for member in tracestate.split(",")]
    found = [MEMBER.fullmatch(member) for member in members if member]
    keys = {match[1] for match in found if match}
    return len(keys) == len(found) and 0 < len(found) <= MAX_MEMBERS


def _random_id(bits: int) -> str:
    """Make a hexadecimal id other than 0. It does not have to be unpredictable."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"
