"""How often threads take turns at the interpreter while batches are loaded."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERVAL = 0.0005
"""Seconds after which a thread lets another have the interpreter, while a batch is loaded.

Each statement of a batch ends with waiting for the interpreter, which checking the next batch keeps
busy; with Python's own 5 ms that is longer than most of the statements take.
"""

_lock = threading.Lock()
_before: list[float] = []


@contextmanager
def switching_often() -> Iterator[None]:
    """Take turns often during the `with` block, and until the last of several blocks ends."""
    with _lock:
        _before.append(sys.getswitchinterval())
        sys.setswitchinterval(INTERVAL)
    try:
        yield
    finally:
        with _lock:
            # The first one that was noted is Python's own.
            noted = _before.pop()
            sys.setswitchinterval(INTERVAL if _before else noted)
