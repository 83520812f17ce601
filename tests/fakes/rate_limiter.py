"""A rate limiter in memory, for tests of the HTTP client without a database."""

import time
from collections.abc import Callable


class MemoryRateLimiter:
    """Allows evenly spaced requests by its clock; `pauses` lists every requested pause."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.pauses: list[float] = []
        self.pause_message: str | None = None
        self.spent: list[str] = []
        self.backed_off: list[float] = []
        self._gap = 60 / per_minute
        self._clock = clock
        self._next = clock()

    def acquire(self) -> float:
        now = self._clock()
        if now < self._next:
            return self._next - now
        self._next = now + self._gap
        return 0

    def pause(self, seconds: float, message: str = "") -> None:
        self.pause_message = message
        self.pauses.append(seconds)
        self._next = max(self._next, self._clock() + seconds)

    def back_off(self, first: float, longest: float, message: str) -> float:
        seconds = min(longest, first * 2 ** len(self.backed_off))
        self.pause(seconds, message)
        self.backed_off.append(self.pauses.pop())
        return seconds

    def reset_backoff(self) -> None:
        self.backed_off = []

    def pause_until_next_month(self, message: str) -> None:
        self.spent.append(message)
