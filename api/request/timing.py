"""A request's time by part, for its `Server-Timing` header and its log line."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from flask import g


class timed:  # noqa: N801  read as a statement: `with timed("db"):`
    """Add the duration of the `with` block to a part of this request's time.

    `db` is the database's part. The rest of the time is the application's. Blocks of different
    parts must not nest. A block may outlast its request, as for a streamed response.
    """

    __slots__ = ("_part", "_seconds", "_started")

    def __init__(self, part: str) -> None:
        self._part = part

    def __enter__(self) -> Self:
        self._seconds: dict[str, float] = g.setdefault("seconds", {})
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        elapsed = time.perf_counter() - self._started
        self._seconds[self._part] = self._seconds.get(self._part, 0.0) + elapsed


def server_timing(seconds: Mapping[str, float], total: float, cache: str | None) -> str:
    """Write the header: milliseconds of each part, of the application, and in total."""
    app = max(0.0, total - sum(seconds.values()))
    entries = [f"{name};dur={part * 1000:.3f}" for name, part in seconds.items()]
    if cache:
        entries.append(f"cache;desc={cache}")
    return ", ".join([*entries, f"app;dur={app * 1000:.3f}", f"total;dur={total * 1000:.3f}"])
